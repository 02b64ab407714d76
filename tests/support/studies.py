"""Made-up finished runs in a study's folder, and what commands say of them."""

import json
import subprocess
import sys
import zlib
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import pytest

from analysis.rank_curve import rank_curve
from intrinsic.errors import UserError
from tests.support.commands import here
from tests.support.configs import ROOT


def add(study, method="lora", test=0.9, validation=0.9, status="finished", projection="Identity", at_0=None, **swept):
    """`at_0`: the score at the start and that of a constant answer, of every split; None: as records of before."""
    config = {"seed": 0, "lr": 0.01, "epochs": 30, "method": method, "dataset": {"_target_": "data.Digits"}} | swept
    config |= {"granularity": "global", "subspace": {"granularity": "global"}} if "dim" in swept else {"subspace": {}}
    config |= {"optim": {"lr": config["lr"]} | swept.get("optim", {}), "head": "freeze" if method == "lora" else None}
    config |= {"projection": {"_target_": f"intrinsic.{projection}"}, "init": {"seed": config["seed"]}}
    trained = swept.get("dim", 448 * swept.get("rank", 0)) or {"full": 101770, "head": 650}.get(method, 330)
    record = {"format": 1, "run_id": f"{zlib.crc32(json.dumps(config).encode()):012x}", "study": study.name,
              "status": status, "method": method, "metric": "accuracy", "numbers": {"trained": trained}, "seconds": 1.5,
              "config": config, "last": None, "best": None, "error": "loss is nan at step 12"}  # fmt: skip
    if status == "finished":
        for name, epoch, more in (("last", 30, 0), ("best", 27, 0.01)):
            scores = {"validation": {"accuracy": validation + more}, "test": {"accuracy": test + more}}
            record |= {name: {"epoch": epoch, **scores}, "error": None}
    if at_0 is not None:
        splits = ("train", "validation", "test")
        first = {"epoch": 0, **{split: {"accuracy": at_0[0]} for split in splits}}
        record["history"] = [first | {"constant": dict.fromkeys(splits, at_0[1])}]
    (study / record["run_id"]).mkdir(parents=True)
    (study / record["run_id"] / "record.json").write_text(json.dumps(record))
    return study / record["run_id"] / "record.json"


def python(*arguments):
    """`python ARGUMENTS`: of a module, in this process, whose start takes longer than what it does."""
    if arguments[0] != "-m":
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        status = here(*arguments)
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def refused(rule, *studies, figure=rank_curve, **options):
    with pytest.raises(UserError, match=rule) as caught:
        figure(*studies, **options)
    assert "\n" not in str(caught.value)


def point(drawn, curve, x):
    """One point of a curve that was drawn."""
    return drawn.points.set_index(["curve", "x"]).loc[(curve, x)]
