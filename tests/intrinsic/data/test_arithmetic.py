"""Prompts of two numbers: their answers, their splits, and a model that is taught on some before it learns others."""

import pytest
import torch

from experiments.run.setup import Setup
from intrinsic.data.arithmetic import arithmetic
from intrinsic.errors import UserError
from intrinsic.models.characters import Characters
from intrinsic.tasks.instructions import instruct
from intrinsic.training.fit import fit
from tests.support.configs import composed

SMALL = {"digits": 2, "count": 200, "answers": ["sum"], "loss_on": "completion", "fraction": 1.0, "seed": 0}


def made(**changes):
    return arithmetic(**{**SMALL, **changes})


def prompts_in(task, split):
    return {task.texts[row][0] for row in split.inputs.tolist()}


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("sum", lambda a, b: str(a + b)),
        ("reversed", lambda a, b: "".join(reversed(str(a + b)))),
        ("difference", lambda a, b: str(a - b)),
        ("larger", lambda a, b: str(a if a > b else b)),
    ],
)
def test_answers_are_right(kind, answer):
    task = made(answers=[kind])
    assert len(task.texts) == 200
    for prompt, completion in task.texts:
        a, b = prompt.removesuffix("=").split("?")
        assert len(a) == len(b) == 2
        assert completion == answer(int(a), int(b))


def test_no_prompt_is_in_two_splits_whatever_is_asked():
    one, both = made(), made(answers=["sum", "reversed"], fraction=0.5)
    for name in ("validation", "test"):
        own = prompts_in(one, getattr(one, name))
        assert own == prompts_in(both, getattr(both, name))
        assert len(own) == 20
        assert not own & prompts_in(both, both.train)
    assert len(one.train) == 160
    assert len(both.validation) == 40  # each prompt with each answer
    assert prompts_in(one, one.train) != prompts_in(made(seed=1), made(seed=1).train)
    assert len({prompt for prompt, _ in made(count=10_000).texts}) == 10_000  # all that there are


def test_a_tokenizer_cuts_them():
    task = instruct(made(), Characters(characters="0123456789?=", max_length=16), None)
    assert (task.num_outputs, task.metric) == (13, "exact_match")
    row = task.train.inputs[0]
    prompt, answer = made().texts[int(task.train.rows[0])]
    used = len(prompt) + len(answer) + 1
    assert row[0, used - 1] == 0  # the end
    assert row[1, :used].tolist() == [0] * len(prompt) + [1] * (len(answer) + 1)
    assert task.generation.texts(row[:1, len(prompt) : used]) == [answer]


@pytest.mark.slow
@pytest.mark.parametrize("optim", ["adam", "grpo"])
def test_what_was_taught_before_is_learned(optim, tmp_path):
    """theta_0 has seen both answers of each prompt; a step of either kind moves it."""
    data = ["dataset=arithmetic", "dataset.digits=1", "dataset.count=50", "dataset.answers=[reversed]"]
    small = ["model=decoder", "model.width=8", "model.depth=1", "model.heads=2", "batch_size=8", "device=cpu"]
    source = ["init=source", "+init.source.dataset.answers=[sum,reversed]", "init.source.epochs=2"]
    config = composed(*data, *small, *source, "method=subspace", "dim=5", f"optim={optim}", f"output={tmp_path}")
    setup = Setup(config)
    assert len(setup.task.train) == 40
    (kept,) = (tmp_path / ".pretrained").glob("*.safetensors") if setup.net else ()
    assert kept.stat().st_size > 1000
    again = Setup(config)
    assert all(torch.equal(*pair) for pair in zip(setup.net.parameters(), again.net.parameters(), strict=True))
    history = list(fit(setup.net, setup.task, setup.optimizer, epochs=1, batch_size=8, seed=0))
    assert 0 <= history[0].test["exact_match"] <= 1
    assert setup.net.z.any()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"digits": 4}, r"need an integer dataset\.digits from 1 to 3, got dataset\.digits=4"),
        ({"digits": 1, "count": 101}, r"need an integer dataset\.count from 10 to 100, got dataset\.count=101"),
        ({"answers": []}, r"need dataset\.answers as a list of sum, reversed, difference, larger, got answers=\[\]"),
        ({"answers": "sum"}, r"need dataset\.answers as a list of .* got answers='sum'"),
        ({"answers": ["sum", "product"]}, r"need dataset\.answers as a list of .* got answers=\['sum', 'product'\]"),
        ({"loss_on": "prompt"}, r"need dataset\.loss_on=completion or all, got loss_on='prompt'"),
        ({"fraction": 0}, "fraction"),
    ],
)
def test_bad_arguments(changes, match):
    with pytest.raises(UserError, match=match):
        made(**changes)
