"""What benchmarks/ has written is what it would write of the same results, and its parts run."""

import json

import pytest
import torch

import intrinsic
from benchmarks import __main__ as command
from benchmarks import products, steps, timing
from benchmarks.compare import compare
from benchmarks.growth import draw_growth
from benchmarks.processes import median_of
from benchmarks.projections import projections
from benchmarks.report import report
from benchmarks.step import make_step
from intrinsic.errors import UserError
from tests.support.configs import CONF, names

HERE = CONF.parent / "benchmarks"


def test_the_report_is_that_of_the_results():
    assert (HERE / "RESULTS.md").read_text() == report(json.loads((HERE / "results.json").read_text()))


@pytest.mark.slow
def test_the_figure_is_drawn(tmp_path):
    draw_growth(json.loads((HERE / "results.json").read_text())["products"]["rows"], tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes()[1:4] == b"PNG"


def test_a_ratio_is_that_of_the_times(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def takes(seconds):
        return lambda: clock.__setitem__(0, clock[0] + seconds)

    times, seconds = timing.ratio(takes(0.03), takes(0.01))
    assert times == pytest.approx(3)
    assert seconds == pytest.approx(0.01)


def test_every_projection_is_measured():
    assert set(projections()) == set(names("projection")) - {"identity", "trajectory"}


@pytest.mark.slow
def test_a_step_and_a_product_run():
    net = intrinsic.Subspace(steps.NETWORKS["LeNet"](), projection=intrinsic.OneHot, dim=100)
    make_step(net, fused=True)()
    assert net.z.abs().sum() > 0
    assert products.time_products(intrinsic.OneHot(10, 1000, seed=0), torch.device("cpu"))["bytes"] == 2080


def results(own_loop, ratio):
    """Of two sections."""
    step = {"network": "LeNet", "projection": "onehot", "dim": 9, "own_loop": own_loop, "full_step_ms": 5.0}
    peer = {"peer": "theirs", "ours": "dense", "ratio": ratio}
    return {"steps": {"machine": "", "rows": [step]}, "peers": {"machine": "", "rows": [peer]}}


def test_what_got_worse_by_a_tenth_is_named():
    before = results(1.0, 10.0)
    assert compare(results(1.09, 9.2), before) == []
    assert compare(results(1.2, 11.0), before) == [
        "steps: own_loop of network LeNet, projection onehot, dim 9: 1.00 before, 1.20 now"
    ]
    assert compare(results(0.5, 9.0), before) == [
        "peers: ours ÷ peer of peer theirs, ours dense: 0.10 before, 0.11 now"
    ]
    assert compare(results(9, 9), {}) == []


def test_comparing_writes_nothing_and_its_status_is_the_answer(tmp_path, monkeypatch, capsys):
    row = results(2.0, 1.0)["steps"]["rows"][0]
    monkeypatch.setattr(command, "SECTIONS", {"steps": lambda _: [row]})
    monkeypatch.setattr(command, "HERE", tmp_path)
    file = tmp_path / "before.json"
    for own_loop, status in ((1.0, 1), (2.0, 0)):
        file.write_text(json.dumps(results(own_loop, 1.0)))
        with pytest.raises(SystemExit, match=f"^{status}$"):
            command.main(["--compare", str(file)])
    assert capsys.readouterr().out.splitlines()[-1] == "no ratio is more than 10 % worse"
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(UserError, match="there is no section stepz: need one of steps"):
        command.main(["stepz"])
    with pytest.raises(UserError, match="there is no such file"):
        command.main(["--compare", str(tmp_path / "missing.json")])


def test_of_several_processes_there_are_medians():
    rows = tuple({"dim": 3, "step": step} for step in (1.0, 5.0, 2.0))
    assert median_of(rows, ("dim",)) == {"dim": 3, "step": 2.0}
