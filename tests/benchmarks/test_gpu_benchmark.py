"""What is to run on a GPU: every part at tiny sizes here, and what becomes of parts that fail or take too long."""

import argparse
import json
import sys
import time
from pathlib import Path

import pytest
import torch

import intrinsic
from benchmarks import timing
from benchmarks.gpu import __main__ as command
from benchmarks.gpu import curve, draws, graphs, half, kernels, part, pieces, ratios, replicas, table
from benchmarks.gpu.attempt import attempt, reason
from benchmarks.gpu.enlarged import enlarged
from benchmarks.gpu.part import Part
from benchmarks.projections import projections
from intrinsic.errors import UserError
from intrinsic.projections import kernels as kernel_files

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
WORKER = """
import json, os, sys, time
say = lambda **message: print(json.dumps(message), flush=True)
name = sys.argv[1]
say(row={"name": name}, peak_mb=7)
if name == "fails":
    say(whole=False, reason="RuntimeError: an illegal memory access")
elif name == "dies":
    print("CUDA error: device lost", file=sys.stderr, flush=True)
    os.abort()
elif name == "hangs":
    sys.stdout.write('{"row": ')
    sys.stdout.flush()
    time.sleep(60)
else:
    say(whole=True)
"""


@pytest.fixture
def options(tmp_path, monkeypatch):
    monkeypatch.setattr(part, "WORKER", (sys.executable, "-c", WORKER))
    return argparse.Namespace(device="cpu", scale="tiny", seconds=60.0, output=tmp_path / "out")


def test_parts_that_fail_are_reported_and_the_others_go_on(options):
    names = ("fails", "dies", "hangs", "good")
    start = time.monotonic()
    command.run([[Part((name,), 2 if name == "hangs" else 30)] for name in names], options)
    assert time.monotonic() - start < 30
    found = json.loads((options.output / "results_gpu.json").read_text())["parts"]
    assert [(p["name"], p["status"], p["reason"]) for p in found] == [
        ("fails", "failed", "RuntimeError: an illegal memory access"),
        ("dies", "failed", "ended with status -6: CUDA error: device lost"),
        ("hangs", "cut", "its 2 s were over"),
        ("good", "whole", ""),
    ]
    assert all(p["rows"] == [{"name": p["name"]}] and p["peak_mb"] == 7 for p in found)
    text = (options.output / "RESULTS_GPU.md").read_text()
    assert "| hangs | cut | 2 | 7 | its 2 s were over |" in text


def test_the_files_are_there_after_each_stage_and_time_ends_them(options):
    seen = []
    options.seconds = 6.0

    class Slow(Part):
        def run(self, *arguments):
            seen.append((options.output / "results_gpu.json").is_file())
            time.sleep(1.5)
            super().run(*arguments)

    command.run([[Part(("good",), 30)], [Slow(("good",), 30), Slow(("good",), 30)], [Part(("good",), 30)]], options)
    found = json.loads((options.output / "results_gpu.json").read_text())["parts"]
    assert seen == [True, True]  # side by side, after the first stage was written
    assert [p["status"] for p in found] == ["whole", "whole", "whole", "left out"]
    assert found[-1]["reason"] == "no time was left"


LONG = ("dense", "fastfood", "kronecker")  # in the interpreter; by day test_triton.py holds their kernels


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.nightly if name in LONG else ()) for name in projections()]
)
def test_kernels_agree_with_plain_torch_in_float64(name):
    rows = list(kernels.measure(CPU, "tiny", name))
    assert {row["dtype"] for row in rows} == {"float32", "float64", "bfloat16"}
    assert {row["granularity"] for row in rows} == {"global", "tensor", "block"}
    assert all(row["ok"] for row in rows), rows
    file = Path(kernel_files.__file__).with_name(f"{name}_cpu.py")
    made = [projections()[name](*sizes, seed=0) for sizes in kernels.SIZES["tiny"]]  # dct has none for some sizes
    used = {file.stem if file.is_file() and projection.kernels else "plain torch" for projection in made}
    assert {row["kernel"] for row in rows if row["granularity"] == "global"} == used


def test_a_kernel_that_is_wrong_is_seen(monkeypatch):
    right = intrinsic.OneHot.multiply

    def wrong(projection, x, *, transposed=False):
        return right(projection, x, transposed=transposed) * (1 if transposed else 1.001)

    monkeypatch.setattr(intrinsic.OneHot, "multiply", wrong)
    rows = [row for row in kernels.measure(CPU, "tiny", "onehot") if row["granularity"] == "global"]
    rows = [row for row in rows if row["dtype"] == "float32"]
    assert rows
    assert not any(row["ok"] for row in rows)
    assert all(row["P z"] == pytest.approx(1e-3, rel=1e-2) and row["Pᵀ g"] < 1e-6 for row in rows)
    assert "- wrong: projection onehot, granularity global, dim 9" in _table([("kernels onehot", rows)])


@pytest.mark.parametrize("name", ["fastfood", "onehot"])
def test_an_enlarged_projection_is_one_of_its_form(name):
    kind = projections()[name]
    large = enlarged(kind, 10, 5003, CPU, drawn=1000)
    assert (large.dim, large.full_dim, large.nbytes) == (10, 5003, kind.plan(10, 5003))
    z, g = torch.randn(10, dtype=torch.float64), torch.randn(5003, dtype=torch.float64)
    torch.testing.assert_close(large.multiply(z), large.matvec(z))  # the kernel reads what plain torch reads
    torch.testing.assert_close(large.multiply(g, transposed=True), large.rmatvec(g))
    assert sum(tensor.nbytes for tensor in kernels.held(large)) >= large.nbytes


def test_the_other_parts_run(monkeypatch):
    monkeypatch.setattr(timing, "SECONDS", 1e-3)
    rows = {"ratios": list(ratios.measure(CPU, "tiny")), "replicas": list(replicas.measure(CPU, "tiny"))}
    rows["curve"] = list(curve.measure(CPU, "tiny", "10"))
    for new in (graphs, pieces, half, draws):
        rows[new.__name__.rpartition(".")[2]] = list(new.measure(CPU, "tiny"))
    assert not [row for name in rows for row in rows[name] if "reason" in row]
    assert all(row["equal"] for name in ("graphs", "pieces", "draws") for row in rows[name])
    assert all(row["on the device"] for row in rows["draws"])
    assert all(row["less"] for row in rows["half"])
    assert [row["projection"] for row in rows["ratios"]].count("dense") == 2
    assert all(min(row[key] for key in ("forward", "adjoint", "step", "copy_ms")) > 0 for row in rows["ratios"])
    repeated = {row["projection"] for row in rows["ratios"] if not row["own P"]}
    assert repeated == {"fastfood", "onehot"}
    assert [row["replicas"] for row in rows["replicas"]] == ["alone", 1, 3]
    assert [(row["epoch"], len(row["test accuracy"])) for row in rows["curve"]] == [(1, 2), (2, 2)]
    text = _table(list(rows.items()))
    assert "| 10 | 2 of 2 |" in text
    assert text.count("\n## ") == len(rows)


def test_a_case_that_fails_keeps_its_reason():
    def fails():
        raise RuntimeError("Triton Error [CUDA]:\n out of resources | " + 300 * "x")

    row = attempt({"projection": "dense", "dim": 3}, fails, CPU)
    assert row["reason"].startswith("RuntimeError: Triton Error [CUDA]: out of resources | x")
    assert len(row["reason"]) == 200
    assert "- projection dense, dim 3: RuntimeError: Triton Error [CUDA]: out of resources \\|" in _table(
        [("kernels dense", [row])]
    )
    assert reason(ValueError("a\nb")) == "ValueError: a b"


def test_it_needs_a_gpu_or_says_how_to_go_without(tmp_path):
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="need a GPU that torch sees, got none: use --device cpu --scale tiny"):
            command.main([])
    with pytest.raises(UserError, match="need --output=FOLDER for a dry run"):
        command.main(["--device", "cpu"])


def test_the_command_writes_what_a_part_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "stages", lambda scale: [[Part(("kernels", "onehot"), 75)]])
    command.main(["--device", "cpu", "--scale", "tiny", "--output", str(tmp_path)])
    (part,) = json.loads((tmp_path / "results_gpu.json").read_text())["parts"]
    assert (part["name"], part["status"]) == ("kernels onehot", "whole")
    assert part["rows"]


@pytest.mark.nightly  # by day: one part so, and the code of the others in this process
def test_the_command_runs_every_part(tmp_path):
    command.main(["--device", "cpu", "--scale", "tiny", "--output", str(tmp_path)])
    found = json.loads((tmp_path / "results_gpu.json").read_text())["parts"]
    assert {p["status"] for p in found} == {"whole"}, [(p["name"], p["reason"]) for p in found]
    assert {p["name"].split()[0] for p in found} == {part.name[0] for stage in command.stages("tiny") for part in stage}
    assert all(p["rows"] and p["peak_mb"] > 0 for p in found)


def _table(parts):
    rest = {"status": "whole", "reason": "", "seconds": 1.0, "peak_mb": 1.0}
    return table.table(
        {"machine": "here", "scale": "tiny", "parts": [{"name": name, "rows": rows, **rest} for name, rows in parts]}
    )
