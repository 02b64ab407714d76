"""Runs on prompts and completions: supervised, and by rewards; stopped ones go on, and what is refused in one line."""

import pytest
import torch

from experiments.finished.guess import guess
from experiments.run.setup import Setup
from intrinsic.errors import UserError
from intrinsic.threshold.estimate_threshold import estimate_threshold
from intrinsic.training.generate import generate
from tests.support.configs import composed
from tests.support.stopped_run import check_going_on
from tests.support.tiny_pairs import make_pairs_folder, write_rows, write_sums

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("surroundings")]

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_pairs_folder(tmp_path_factory.mktemp("pairs") / "llama")


@pytest.fixture(scope="module")
def sums(tmp_path_factory):
    return write_sums(tmp_path_factory.mktemp("sums") / "sums.jsonl")


def command(folder, sums, *more):
    data = ["dataset=pairs", f"dataset.file={sums}", "dataset.verifier=number"]
    return ["model=hf_lm", "init=hub", f"model.name={folder}", *data, "tokenizer.max_length=16", "lr=0.02", *more]


METHODS = {"full": [], "lora": [], "subspace": ["dim=50"]}
GRPO = {
    "plain": [],
    "kl": ["optim.kl=0.1", "optim.updates=2", "seeds.dropout=3"],
    "exact": ["optim.samples=exact", "dataset.max_new_tokens=1"],
}


@pytest.mark.parametrize("method", METHODS)
def test_a_supervised_run_that_was_stopped_goes_on(method, folder, sums, tmp_path):
    more = [f"method={method}", *METHODS[method], "epochs=3", "checkpoint_seconds=0.0", f"output={tmp_path}"]
    record = check_going_on(composed(*command(folder, sums, *more)), tmp_path)
    assert record.metric == "exact_match"
    losses = [epoch["validation"]["loss"] for epoch in record.history]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", GRPO)
def test_a_run_by_rewards_that_was_stopped_goes_on(case, method, folder, sums, tmp_path):
    more = [f"method={method}", *METHODS[method], "optim=grpo", "optim.group=4", *GRPO[case], "seed=1"]
    more += ["epochs=3", "checkpoint_seconds=0.0", f"output={tmp_path}", "device=cpu"]
    record = check_going_on(composed(*command(folder, sums, *more)), tmp_path)
    assert all(-1 <= epoch["train_loss"] <= 0 for epoch in record.history[1:])


@pytest.mark.parametrize("more", ["", "optim=grpo"], ids=["supervised", "rewarded"])
def test_a_base_that_answers_every_prompt(more, program, folder, sums, tmp_path):
    """What its start says is in the record, in one line of the run, and in the answer of a search."""
    answered = answers_of(folder, sums, tmp_path)
    given = " ".join(
        [
            *command(folder, answered),
            f"study=solved epochs=1 lr=0.00001 dataset.verifier=exact dataset.max_new_tokens=1 {more}",
        ]
    )
    status, out, err = program(given.replace("lr=0.02", "").replace("dataset.verifier=number", ""), tmp_path)
    assert status == 0, err
    (note,) = [line for line in err.splitlines() if line.startswith("note:")]
    assert note == "note: theta_0 answers every prompt right, nothing is left to learn: the floor of a d90 is 1"
    assert "test exact_match 1.0000 → 1.0000" in out
    known = {"dims": [1, 2, 3], "scores": [1.0, 1, 1], "baselines": [1.0], "start": 1.0}
    assert str(estimate_threshold(**known)) == "d90 = 0 (the start is above the target: 1 >= 0.9; use floor=start)"
    with pytest.raises(UserError, match="need a baseline above floor, got a mean of 1 and floor=1"):
        estimate_threshold(**known, floor=1.0)


def answers_of(folder, sums, tmp_path):
    """The prompts with what the model itself answers, to which the tokenizer adds an end."""
    setup = Setup(composed(*command(folder, sums, "method=full", "dataset.max_new_tokens=1")))
    task, net = setup.task, setup.net.eval()
    rows = []
    for split in (task.train, task.validation, task.test):
        texts = task.generation.texts(generate(net, task, split.inputs))
        numbers = [divmod(row, 6) for row in split.rows.tolist()]
        rows += [{"prompt": f"{a}+{b}=", "completion": t} for (a, b), t in zip(numbers, texts, strict=True)]
    return write_rows(tmp_path / "answered.jsonl", rows)


def test_the_guess_of_tokens(folder, sums):
    """The commonest token, and the shares of all, of the training targets: beside outputs that say so everywhere."""
    task = Setup(composed(*command(folder, sums, "method=full"))).task
    seen = task.train.targets[task.train.targets >= 0]
    shares = torch.bincount(seen, minlength=task.num_outputs).double() / len(seen)
    outputs = shares.clamp_min(1e-38).log().expand(*task.test.targets.shape, -1)
    found = guess(task, task.test)
    assert found["loss"] == pytest.approx(task.loss(outputs, task.test.targets).item(), rel=1e-6)
    hits = task.score(outputs, task.test.targets).sum() / task.tokens(task.test.targets).sum()
    assert found["token_accuracy"] == pytest.approx(hits.item())


COMMANDS = [
    (
        "dataset=text",
        "optim=grpo learns from answers that are right or wrong: use dataset=pairs dataset.verifier=exact",
    ),
    ("dataset.verifier=null", "optim=grpo learns from answers that are right or wrong"),
    ("dataset.verifier=sympy", "need dataset.verifier=exact, number or null, got verifier='sympy'"),
    (
        "optim.samples=exact",
        "weighs all answers of one token, got dataset.max_new_tokens=3: use dataset.max_new_tokens=1",
    ),
    ("optim.samples=all", "need optim.samples=drawn or exact, got optim.samples='all'"),
    ("optim.group=1", "need an integer optim.group >= 2, got optim.group=1"),
    ("optim.temperature=0", "need optim.temperature > 0, got"),
    ("optim.normalize=1", "optim.normalize"),
    ("optim.kl=-1", "need a finite optim.kl >= 0"),
    ("redraw=1 method=subspace dim=9", "redraw=1 counts steps of a gradient on examples: use redraw=null"),
    ("model.objective=masked", "transformers has no masked language model of llama"),
    ("tokenizer.max_length=4", "is cut into 5 tokens, with its completion 7: need 1 at least, 4 in all at most"),
]


@pytest.mark.parametrize(("more", "match"), COMMANDS, ids=[more for more, _ in COMMANDS])
def test_bad_command(refused, folder, sums, more, match):
    given = " ".join(command(folder, sums, "optim=grpo"))
    if more == "dataset=text":
        given = given.replace("dataset=pairs", more).replace(" dataset.verifier=number", "")
        more = ""
    refused(f"{given} {more}", match)


def test_a_broken_line(refused, folder, tmp_path):
    file = tmp_path / "broken.jsonl"
    file.write_text('{"prompt": "1+1=", "completion": "2"}\n{"prompt": ')
    refused(" ".join(command(folder, file)), r"broken.jsonl, line 2: is no JSON \(Expecting value\): need")


def test_a_conversation_without_a_template(refused, folder, tmp_path):
    file = write_sums(tmp_path / "chat.jsonl", chat=True)
    refused(" ".join(command(folder, file)), r"has no chat template: need chat_template\.jinja beside it")


def test_a_model_that_reads_no_pairs(refused, sums):
    refused(f"dataset=pairs dataset.file={sums} init=scratch", "MLP reads no text")
