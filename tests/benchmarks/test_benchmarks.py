"""What benchmarks/ has written is what it would write of the same results, and its parts run."""

import json

import pytest
import torch

import intrinsic
from benchmarks import products, steps, timing
from benchmarks.projections import projections
from benchmarks.report import draw_growth, report
from benchmarks.step import make_step
from tests.support.configs import CONF, names

HERE = CONF.parent / "benchmarks"


def test_the_report_is_that_of_the_results():
    assert (HERE / "RESULTS.md").read_text() == report(json.loads((HERE / "results.json").read_text()))


@pytest.mark.slow
def test_the_figure_is_drawn(tmp_path):
    draw_growth(json.loads((HERE / "results.json").read_text())["products"], tmp_path / "growth.png")
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
    assert set(projections()) == set(names("projection")) - {"identity"}


@pytest.mark.slow
def test_a_step_and_a_product_run():
    net = intrinsic.Subspace(steps.NETWORKS["LeNet"](), projection=intrinsic.OneHot, dim=100)
    make_step(net, fused=True)()
    assert net.z.abs().sum() > 0
    assert products.time_products(intrinsic.OneHot(10, 1000, seed=0), torch.device("cpu"))["bytes"] == 6080
