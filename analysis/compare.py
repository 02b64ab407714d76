"""The score of every method against how many parameters it trains: LoRA, subspaces and the others on one axis.

python run.py -m rank=1,2,4,8 study=grid                               makes LoRA's runs
python run.py -m method=subspace dim=10,30,100,300,1000 study=grid     makes the subspace's
python run.py -m method=full,head,bitfit study=grid                    makes single points
python -m analysis.compare outputs/grid                                draws them
"""

from collections.abc import Sequence
from pathlib import Path

from analysis.figures.command import program
from analysis.figures.curves import curves
from analysis.figures.figure import CurvesResult


def compare(
    *studies: str | Path,
    out: str | Path | None = None,
    split: str = "test",
    epoch: str = "last",
    where: Sequence[str] = (),
    across: Sequence[str] = (),
) -> CurvesResult:
    """Draw one curve for each method and projection; a method of one size is a single marker.

    The arguments are those of `analysis.figures.curves.curves`. Writes compare.png, .pdf and .csv.

    Raises:
        UserError: as `curves`.
    """
    return curves(
        "compare",
        studies,
        x="trained",
        xlabel="trainable parameters",
        make="-m rank=1,2,4,8",
        out=out,
        split=split,
        epoch=epoch,
        where=where,
        across=across,
    )


if __name__ == "__main__":
    program(compare)
