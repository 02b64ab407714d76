"""Answers: tokens and targets of pairs, greedy answers beside transformers' own, and whether they are right."""

import json

import pytest
import torch

from intrinsic.data.pairs import pairs
from intrinsic.errors import UserError
from intrinsic.models.hf_lm import hf_lm
from intrinsic.models.hf_tokenizer import HFTokenizer
from intrinsic.spaces.adapter import Adapter
from intrinsic.subspace import Subspace
from intrinsic.tasks.instructions import instruct
from intrinsic.tasks.language import ABSENT
from intrinsic.training.drawn_answers import followed
from intrinsic.training.evaluate import evaluate
from intrinsic.training.exact_match import exact_match
from intrinsic.training.generate import generate
from tests.intrinsic.data.test_pairs import PLAIN
from tests.support.configs import names
from tests.support.methods import space_of
from tests.support.tiny_language import MODEL
from tests.support.tiny_pairs import LETTERS, TEMPLATE, make_pairs_folder, write_rows, write_sums

pytest.importorskip("transformers")

KINDS = ["llama", "gpt2"]


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    return make_pairs_folder(tmp_path_factory.mktemp(request.param), request.param, initializer_range=0.5)


def task_of(folder, file, *, max_length=32, **changes):
    tokenizer = HFTokenizer(name=str(folder), max_length=max_length)
    return instruct(pairs(file=file, **{**PLAIN, **changes}), tokenizer, None)


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))


def net_of(folder, task, space=None):
    return Subspace(hf_lm(task.input_shape, task.num_outputs, name=str(folder), **MODEL), space=space)


def ids(text):
    return [LETTERS.index(letter) for letter in text]


@pytest.mark.parametrize("loss_on", ["completion", "all"])
def test_tokens_and_targets(folder, tmp_path, loss_on):
    """Beside a list built by hand: BOS, the prompt, the completion, its end; targets are the next tokens."""
    task = task_of(folder, write_sums(tmp_path / "s.jsonl"), loss_on=loss_on)
    split = task.train
    for row, (inputs, targets) in enumerate(zip(split.inputs, split.targets, strict=True)):
        a, b = divmod(int(split.rows[row]), 6)
        prompt, completion = [2, *ids(f"{a}+{b}=")], [*ids(str(a + b)), 3]
        whole = prompt + completion
        filled = [ABSENT] * (inputs.shape[1] - len(whole))
        assert inputs[0].tolist() == whole + filled
        assert inputs[1].tolist() == [0] * len(prompt) + [1] * len(completion) + filled
        read = whole[1:] if loss_on == "all" else [ABSENT] * (len(prompt) - 1) + completion
        assert targets.tolist() == [*read, ABSENT, *filled]
        assert split.lengths[row] == len(whole)
    assert task.generation.max_new_tokens == 3  # 1, 0, and the end


def test_another_end_of_the_same_rules_is_not_that_of_kept_tokens(tmp_path):
    """A base model and its instruct version often differ in this line of tokenizer_config.json alone."""
    folder, file = make_pairs_folder(tmp_path / "model"), write_sums(tmp_path / "s.jsonl")
    found = []
    for end in ("<eos>", "<unk>"):
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token": end}))
        split = task_of(folder, file).train
        found.append({int(row[0, length - 1]) for row, length in zip(split.inputs, split.lengths, strict=True)})
    assert found == [{LETTERS.index("<eos>")}, {LETTERS.index("<unk>")}]


def test_a_conversation_through_the_template(tmp_path):
    folder = make_pairs_folder(tmp_path / "chat", template=TEMPLATE)
    task = task_of(folder, write_sums(tmp_path / "s.jsonl", chat=True))
    a, b = divmod(int(task.train.rows[0]), 6)
    kinds = task.train.inputs[0, 1]
    assert task.train.inputs[0, 0][kinds == 0].tolist() == ids(f"u:{a}+{b}=a:")  # the template's own: no BOS
    assert task.train.inputs[0, 0][kinds == 1].tolist() == [*ids(str(a + b)), 3]  # without the space behind the end


@pytest.mark.parametrize("space", [None, Adapter(bottleneck=2)], ids=["cached", "anew"])
def test_greedy_answers_are_those_of_transformers(folder, tmp_path, space):
    """Prompts of several lengths at once; transformers answers them one by one, without padding."""
    rows = [{"prompt": "+".join("1234567"[:n]), "completion": "12345"} for n in range(1, 7)]
    task = task_of(folder, write_rows(tmp_path / "rows.jsonl", rows), max_new_tokens=8)
    net = net_of(folder, task, space=space).eval()
    assert hasattr(net.model, "next_logits")
    split = task.train
    found = generate(net, task, split.inputs)
    for row, (read, kinds) in enumerate(split.inputs):  # (2, length)
        prompt = read[kinds == 0].long()[None]
        expected = net.model.generate(
            input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=8, do_sample=False, eos_token_id=3
        )[0, prompt.shape[1] :]
        answer = found[row][found[row] >= 0]
        assert answer.tolist() == expected.tolist()
    assert len(set(found.flatten().tolist())) > 3


def test_kept_keys_and_values_give_the_logits_of_the_whole_text(folder, tmp_path):
    """Of texts of two lengths, the shorter padded on its left."""
    task = task_of(folder, write_sums(tmp_path / "s.jsonl"))
    model = net_of(folder, task).eval().model
    texts = [[2, 5, 6, 7, 8, 9], [2, 10, 11, 12]]
    read = torch.tensor([texts[0][:4], [0, 0, *texts[1][:2]]])
    used, past = torch.tensor([[True] * 4, [False, False, True, True]]), None
    with torch.no_grad():
        for step in range(3):
            found, past = model.next_logits(read, used, past)
            for row, text in zip(found, texts, strict=True):
                expected = model(input_ids=torch.tensor([text[: len(text) - 2 + step]])).logits[0, -1]
                torch.testing.assert_close(row, expected, atol=1e-4, rtol=1e-4)  # float32, sums in another order
            read = torch.tensor([[text[min(len(text) - 2 + step, len(text) - 1)]] for text in texts])
            used = torch.cat([used, torch.ones(2, 1, dtype=torch.bool)], dim=1)


@pytest.mark.parametrize("name", names("space"))
def test_each_answer_is_what_the_net_says_of_the_text_before_it(name, tmp_path):
    """In one pass over prompt and answer, whatever a space has put into the model."""
    folder = make_pairs_folder(tmp_path / "model", "gpt2", initializer_range=0.5)
    rows = [{"prompt": "+".join("1234567"[:n]), "completion": "12345"} for n in range(1, 7)]
    task = task_of(folder, write_rows(tmp_path / "rows.jsonl", rows))
    net = net_of(folder, task, space_of(name)).eval()
    with torch.no_grad():
        for lane, parameter in enumerate(net.parameters()):
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(lane))
        found = generate(net, task, task.train.inputs)
        inputs, targets = followed(task.train.inputs, found)
        said = net(inputs).argmax(-1)
    assert len(set(found.flatten().tolist())) > 2
    assert (targets >= 0).sum() == (found >= 0).sum()
    assert torch.equal(said[targets >= 0], targets[targets >= 0])


def test_an_answer_ends_with_its_end(folder, tmp_path):
    task = task_of(folder, write_sums(tmp_path / "s.jsonl"))
    net = net_of(folder, task).eval()

    def choose(logits, number):  # 7, then the end for every other row
        token = torch.full((len(logits),), ids("7")[0])
        return token.where(torch.arange(len(logits)) % 2 == number % 2, 3) if number else token

    found = generate(net, task, task.train.inputs, choose)
    assert found[:2].tolist() == [[ids("7")[0], 3, ABSENT], [ids("7")[0], ids("7")[0], 3]]
    assert task.generation.texts(found[:2]) == ["7", "77"]


def test_exact_match_counts_what_the_verifier_calls_right(folder, tmp_path):
    task = task_of(folder, write_sums(tmp_path / "s.jsonl"))
    net = net_of(folder, task)
    found = evaluate(net, task, task.train)
    assert set(found) == {"loss", "token_accuracy", "perplexity", "exact_match"}
    with torch.no_grad():
        said, wanted = net(task.train.inputs).argmax(-1), task.train.targets
    assert found["token_accuracy"] == pytest.approx((said == wanted)[wanted >= 0].double().mean().item())
    assert exact_match(net.train(), task, task.train) == found["exact_match"]
    assert not net.training
    answers = task.generation.texts(generate(net.eval(), task, task.train.inputs))
    sums = [str(sum(divmod(int(row), 6))) for row in task.train.rows]
    assert found["exact_match"] == sum(map(str.__eq__, answers, sums)) / len(sums)
    assert set(evaluate(net, task_of(folder, tmp_path / "s.jsonl", verifier=None), task.train)) == {
        "loss", "token_accuracy", "perplexity",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"max_length": 6}, "the prompt '.*' is cut into 5 tokens, with its completion 7: need 1 at least, 6 in all"),
        (
            {"max_new_tokens": 30},
            "a prompt of 5 tokens and an answer of up to 30 are more than tokenizer.max_length=32",
        ),
    ],
)
def test_what_is_too_long(folder, tmp_path, change, match):
    with pytest.raises(UserError, match=match):
        task_of(folder, write_sums(tmp_path / "s.jsonl"), **change)


def test_a_tokenizer_that_cannot_say_the_answer(folder, tmp_path):
    rows = [{"prompt": p, "completion": "?"} for p in "123"]
    with pytest.raises(UserError, match=r"reads the completion '\?' back as '<unk>', which the verifier calls wrong"):
        task_of(folder, write_rows(tmp_path / "rows.jsonl", rows))


def test_a_tokenizer_without_a_chat_template(folder, tmp_path):
    with pytest.raises(UserError, match=r"has no chat template: need chat_template\.jinja beside it, or prompt and"):
        task_of(folder, write_sums(tmp_path / "s.jsonl", chat=True))


@pytest.mark.parametrize(
    ("template", "match"),
    [
        ("{{ messages[0]['content'] }}{% if not add_generation_prompt %}1{% endif %}x", "writes another prompt where"),
        ("{{ nothing.at.all }}", r"cannot load .* \(UndefinedError: .*need a tokenizer"),
        ("{{ ''.__class__.__mro__ }}", r"cannot load .* \(SecurityError: .*need a tokenizer"),
        ("{% include '/etc/hosts' %}", r"cannot load .* \(TypeError: no loader for this environment"),
    ],
)
def test_a_chat_template_that_does_not_go_on(tmp_path, template, match):
    folder = make_pairs_folder(tmp_path / "chat", template=template)
    with pytest.raises(UserError, match=match):
        task_of(folder, write_sums(tmp_path / "s.jsonl", chat=True))
