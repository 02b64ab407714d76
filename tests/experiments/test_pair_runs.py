"""Runs on prompts and completions: supervised, and by rewards; stopped ones go on, and what is refused in one line."""

import pytest

from tests.support.configs import composed
from tests.support.stopped_run import check_going_on
from tests.support.tiny_pairs import make_pairs_folder, write_sums

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
    "kl": ["optim.kl=0.1", "optim.updates=2"],
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
