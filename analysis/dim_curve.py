"""The score against the dimension d of the subspace that is trained, from the records of a sweep over dim.

python run.py -m method=subspace dim=10,30,100,300 seed=0,1,2 study=dims    makes the runs
python run.py -m method=full seed=0,1,2 study=dims                          makes the baseline
python -m analysis.dim_curve outputs/dims                                   draws them
"""

from collections.abc import Sequence
from pathlib import Path

from analysis.figures.command import program
from analysis.figures.curves import curves
from analysis.figures.figure import CurvesResult


def dim_curve(
    *studies: str | Path,
    out: str | Path | None = None,
    split: str = "test",
    epoch: str = "last",
    metric: str | None = None,
    where: Sequence[str] = (),
    across: Sequence[str] = (),
    fraction: float | None = 0.9,
) -> CurvesResult:
    """Draw one curve for each method and projection with dimensions; the baseline and its fraction are lines.

    The arguments are those of `analysis.figures.curves.curves`. Writes dim_curve.png, .pdf and .csv.

    Raises:
        UserError: as `curves`, also where no run has a dim.
    """
    return curves(
        "dim_curve",
        studies,
        x="dim",
        xlabel="subspace dimension d",
        make="-m method=subspace dim=10,30,100,300",
        levels=("full",),
        fraction=fraction,
        out=out,
        split=split,
        epoch=epoch,
        metric=metric,
        where=where,
        across=across,
    )


if __name__ == "__main__":
    program(dim_curve)
