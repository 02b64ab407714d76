"""The score against the LoRA rank, from the records of a rank ablation.

python run.py -m rank=1,2,4,8 seed=0,1,2 study=ranks        makes the runs
python run.py -m method=full,head seed=0,1,2 study=ranks    makes the two horizontal lines
python -m analysis.rank_curve outputs/ranks                 draws them
"""

from collections.abc import Sequence
from pathlib import Path

from analysis.figures.command import program
from analysis.figures.curves import curves
from analysis.figures.figure import CurvesResult


def rank_curve(
    *studies: str | Path,
    out: str | Path | None = None,
    split: str = "test",
    epoch: str = "last",
    metric: str | None = None,
    where: Sequence[str] = (),
    fraction: float | None = None,
) -> CurvesResult:
    """Draw one curve for each method and projection with ranks; full and head, where there are runs, are lines.

    The arguments are those of `analysis.figures.curves.curves`. Writes rank_curve.png, .pdf and .csv.

    Raises:
        UserError: as `curves`, also where no run has a rank.
    """
    return curves(
        "rank_curve",
        studies,
        x="rank",
        xlabel="rank r",
        make="-m rank=1,2,4,8",
        levels=("full", "head"),
        fraction=fraction,
        out=out,
        split=split,
        epoch=epoch,
        metric=metric,
        where=where,
    )


if __name__ == "__main__":
    program(rank_curve)
