"""The tables of the results pages, from made-up runs whose means and intervals are known."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from analysis.commit_results import commit_results
from analysis.references.hu_aghajanyan import DID, HU_RANKS, SAID
from analysis.references.literature import PUBLISHED
from analysis.results.claims_table import COMMANDS, MEASURES, OF_COSTS, WHY, claims_table
from analysis.results.committed import Committed
from analysis.results.costs_file import CostsFile
from analysis.results.language_tables import method_table, published_dims, published_ranks, threshold_table
from analysis.results.leaderboard import leaderboard, own_sizes, rates
from analysis.results.published_tables import curve_table, grid_table, published_table
from analysis.results.rank_tables import budget_table, rank_table
from tests.analysis.test_published import fill
from tests.support.studies import add

pytestmark = pytest.mark.usefixtures("unrendered")


def committed(study, home):
    path = commit_results([study], home / f"{study.name}.json", commands=["python run.py"], note="a note")
    return Committed(path, home / "home")


def cells(text):
    """The rows of a table by their first cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:] if line[:1] == "|"]
    return {row[0]: row[1:] for row in rows}


@pytest.fixture
def methods(tmp_path):
    """A subspace at two budgets, LoRA near one, a head of its own size, and a size at which no run has finished."""
    study = tmp_path / "methods"
    for seed, more in ((0, -0.01), (1, 0.0), (2, 0.01)):
        for dim, score in ((100, 0.6), (1000, 0.9)):
            for lr in (0.01, 0.03):
                worse = 0.0 if lr == 0.03 else 0.1
                scores = {"test": score + more - worse, "validation": score - worse}
                add(study, "subspace", projection="intrinsic.Fastfood", dim=dim, lr=lr, seed=seed, **scores)
        add(study, "lora", rank=2, seed=seed, test=0.95 + more)
        add(study, "head", seed=seed, test=0.5)
        add(study, "subspace", projection="intrinsic.Fastfood", dim=3000, seed=seed, status="diverged")
    return committed(study, tmp_path)


def test_the_leaderboard_has_means_intervals_and_reasons(methods):
    found = cells(leaderboard(methods))
    # 4.302653 * 0.01 / sqrt(3) = 0.0248; LoRA has 448 parameters a rank
    assert found["`subspace (fastfood)`"] == ["**0.600 ± 0.025**", "– (100)", "0.900 ± 0.025", "– (3,000)", "– (3,000)"]
    assert found["`lora`"] == ["– (896)", "– (896)", "**0.950 ± 0.025** (896)", "– (896)", "– (896)"]
    assert list(found) == ["`subspace (fastfood)`", "`lora`"]
    assert cells(own_sizes(methods)) == {"`head`": ["650", "0.500 ± 0.000", "lr=0.01"]}
    assert cells(rates(methods))["`subspace (fastfood)`"] == ["lr=0.03", "", "lr=0.03", "", ""]


def test_every_method_and_size_is_a_row(methods):
    found = cells(method_table(methods))
    assert found["`subspace (fastfood)`, dim 100"][:5] == [
        "100",
        "0.600 ± 0.000",
        "0.600 ± 0.025",
        "3",
        "lr=0.03 (best of 2)",
    ]
    assert len(found) == 4


def test_ranks_stand_beside_matrices_and_matrices_at_one_budget(tmp_path):
    study = tmp_path / "ranks"
    for seed, more in ((0, -0.01), (1, 0.0), (2, 0.01)):
        add(study, rank=1, seed=seed, test=0.9 + more, space={"targets": ["query", "value"]})
        add(study, rank=2, seed=seed, test=0.95 + more, space={"targets": ["query", "value"]})
        add(study, rank=1, seed=seed, test=0.7, space={"targets": ["query"]})
        add(study, rank=2, seed=seed, test=0.8, space={"targets": ["query"]})
        add(study, rank=2, seed=seed, test=0.85, space={"targets": ["key"]})
        add(study, "full", seed=seed)
    study = committed(study, tmp_path)
    assert cells(rank_table(study)) == {
        "query": ["0.700 ± 0.000", "0.800 ± 0.000"],
        "query, value": ["0.900 ± 0.025", "0.950 ± 0.025"],
    }
    assert list(cells(budget_table(study, 896))) == ["query", "key", "query, value"]  # the lowest score first
    assert cells(budget_table(study, 896))["query, value"] == ["2", "0.950 ± 0.025", "lr=0.01"]


def test_the_facts_say_what_was_spent(methods):
    said = methods.facts()
    for part in ("21 runs, 3 diverged", "0.5 minutes of training in all", "seeds 0 to 2", "3 seeds", "a note"):
        assert part in said
    assert methods.commands() == "```sh\npython run.py\n```"


def test_a_compression_reads_a_d90_above_a_thousand():
    table = pd.DataFrame(
        [{"task": "mnist_fc", "baseline": "individual", "measured": "d90 = 1,234 [1,100, 1,400] (95 %)"}]
    )
    study = SimpleNamespace(name="fc", outcome=lambda command: SimpleNamespace(table=table))
    assert MEASURES["compression"](study).startswith("199,210 ÷ 1,234 = 161; 796.8 kB and 4.9 kB")


def test_runs_that_were_trained_at_once_share_their_seconds(tmp_path):
    for seed in range(4):
        path = add(tmp_path / "four", rank=1, seed=seed)
        path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": 240.0, "replicas": 4}))
    study = committed(tmp_path / "four", tmp_path)
    assert "4.0 minutes of training in all" in study.facts()
    assert cells(method_table(study))["`lora`, rank 1"][-1] == "60"


@pytest.mark.slow
def test_curves_stand_beside_the_published_ones(tmp_path):
    task = next(task for task in PUBLISHED if task.task == "mnist_fc")
    curve = {dim: sum(scores) / 2 for dim, scores in task.curve.items() if dim != 300}
    fill(tmp_path / "fc", "mnist_fc", curve | {500: 0.9}, full=0.981)
    study = committed(tmp_path / "fc", tmp_path)
    found = cells(curve_table(study))
    # two seeds, 0.002 apart: 12.706205 * 0.001414 / sqrt(2) = 0.0127
    assert found["750"] == ["0.896 ± 0.013", "2", "0.891 to 0.900", "0"]
    assert found["500"] == ["0.901 ± 0.013", "2", "0.862 to 0.869", "**+0.032**"]
    assert found["300"] == ["not run", "", "0.817 to 0.819", ""]
    assert found["full"] == ["0.981 ± 0.000", "2", "0.980 to 0.982", "0"]
    whole = cells(published_table([study], {"cifar_fc": "3 h"}))
    assert whole["`mnist_fc`"][:4] == ["199,210", "750", "625", "850"]
    assert whole["`mnist_fc`"][4].partition(" ")[0].isdigit()
    assert whole["`cifar_fc`"][4] == "not run: 3 h"
    assert whole["`mnist_lenet`"][4] == "below"
    assert [row[0] for row in [line.split("|")[1:3] for line in grid_table(study).splitlines()[2:]]] == [" 200 "]


@pytest.mark.slow
def test_thresholds_are_those_of_the_command(tmp_path):
    for seed in (0, 1, 2):
        for dim, score in ((10, 0.5), (100, 0.8), (1000, 0.97)):
            add(
                tmp_path / "d",
                "subspace",
                projection="intrinsic.Fastfood",
                dim=dim,
                seed=seed,
                test=score,
                validation=score,
            )
        add(tmp_path / "d", "full", 1.0, 1.0, seed=seed)
    study = committed(tmp_path / "d", tmp_path)
    said = threshold_table(study)
    (threshold,) = json.loads((tmp_path / "home/figures/d/0/threshold.json").read_text())["curves"]
    assert f"| `subspace (fastfood)` | test | d90 = {threshold['threshold']['value']:.3g} [" in said.replace(",", "")
    assert "| test |" not in threshold_table(study, split="validation")


def test_published_tables_are_the_data():
    assert cells(published_ranks())["WikiSQL"][0] == list(HU_RANKS["WikiSQL"])[-1]
    assert {model: set(tasks) for model, tasks in SAID.items()} == {model: set(tasks) for model, tasks in DID.items()}
    assert "| BERT-base | MRPC | 1,608 | 1,861 | 0.86 |" in published_dims()


def test_claims_say_what_was_measured_and_what_was_not(methods, tmp_path):
    def row(name, total, stored, seconds, flops):
        numbers = {"stored_bytes": stored}
        of = {"total": total, "model": 10, "trained": 10, "gradients": 10, "optimizer": 10}
        measured = {"seconds": seconds, "steps": 1, "epochs": 1, "numbers": numbers, "bytes": of, "flops": flops}
        return {"name": name, "overrides": ["method=full"], "runs": 0, "measured": measured}

    rows = [row("minilm_full", 4e6, 8e6, 0.5, 3), row("minilm_lora", 2e6, 1e6, 0.25, 2)]
    (tmp_path / "costs.json").write_text(json.dumps({"format": 1, "rows": rows}))
    text = claims_table(lambda name: methods, CostsFile(tmp_path / "costs.json"), rank="methods")
    found = cells(text)
    assert found["LoRA trains in a third of the memory"][1].startswith("4 MB ÷ 2 MB = 2.00; without activations 1.00")
    assert found["a checkpoint is 10,000 times smaller"][1] == "8.0 MB ÷ 1.000 MB = 8 (the head is in both)"
    assert found["LoRA trains 25 % faster"][1] == "500 ms ÷ 250 ms = 2.00 a step; operations 1.50"
    assert found["a rank of 1 or 2 suffices"][1] == "lora of 896: 0.950 ± 0.025 ([records](results/methods.json))"
    assert found["LoRA and a prefix add up"][1] == "composed, not run"
    assert found["d90 falls as pretraining goes on"][1] == "composed, not run"
    assert WHY.keys() == COMMANDS.keys() >= MEASURES.keys() | OF_COSTS.keys()
