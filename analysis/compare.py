"""The score of every method against how many parameters it trains: LoRA, subspaces and the others on one axis.

python run.py -m rank=1,2,4,8 study=grid                               makes LoRA's runs
python run.py -m method=subspace dim=10,30,100,300,1000 study=grid     makes the subspace's
python run.py -m method=full,head,bitfit study=grid                    makes single points
python -m analysis.compare outputs/grid                                draws them
python -m analysis.compare outputs/grid PUBLISHED RESULTS/*.json       beside a published study and results of PEFT
"""

from collections.abc import Sequence
from pathlib import Path

from analysis.figures.command import program
from analysis.figures.curves import curves
from analysis.figures.figure import CurvesResult
from analysis.studies.peft_results import peft_files
from intrinsic.errors import UserError


def compare(
    *studies: str | Path,
    out: str | Path | None = None,
    split: str = "test",
    epoch: str = "last",
    metric: str | None = None,
    where: Sequence[str] = (),
    across: Sequence[str] = (),
) -> CurvesResult:
    """Draw one curve for each method and projection; a method of one size is a single marker.

    Where full training is among the runs, letters say which curves differ in d90, in trainable parameters: those that
    share one were not shown to differ (Holm's rule at 5 %); the ratios are printed.

    Among the studies may be folders that `analysis.publish` made, and results in the form in which PEFT publishes its
    own: files, or folders of them. Of these the ones with the runs' metric are points, a marker for each method. They
    are of the task that they say they are of: nothing compares it with the runs'.

    The arguments are those of `analysis.figures.curves.curves`. Writes compare.png, .pdf and .csv.

    Raises:
        UserError: as `curves`; for results without a study.
    """
    found = {study: peft_files(Path(study)) for study in studies}
    runs = [study for study in studies if not found[study]]
    results = [file for files in found.values() for file in files]
    if results and not runs:
        raise UserError("need a study beside results in PEFT's form, got none; pass a folder such as outputs/demo")
    return curves(
        "compare",
        runs,
        x="trained",
        xlabel="trainable parameters",
        make="-m rank=1,2,4,8",
        out=out,
        split=split,
        epoch=epoch,
        metric=metric,
        where=where,
        across=across,
        results=results,
        differ=True,
    )


if __name__ == "__main__":
    program(compare, studies="folders of runs, drawn as one study; published ones; results in PEFT's form")
