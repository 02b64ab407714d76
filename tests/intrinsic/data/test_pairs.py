"""Prompts and completions from files: splits, duplicates, and what is refused."""

import json

import pytest

from intrinsic.data.pairs import pairs
from intrinsic.errors import UserError
from tests.support.tiny_pairs import write_rows, write_sums

PLAIN = {
    "validation_file": None, "test_file": None, "loss_on": "completion", "verifier": "exact", "form": "strict",
    "metric": None, "max_new_tokens": None, "fraction": 1.0, "seed": 0,
}  # fmt: skip


def of(task):
    return [[task.texts[i] for i in split.inputs] for split in (task.train, task.validation, task.test)]


def rows(*prompts, completion="1"):
    return [{"prompt": prompt, "completion": completion} for prompt in prompts]


def test_a_tenth_of_the_prompts_each(tmp_path):
    file = write_sums(tmp_path / "sums.jsonl")
    task = pairs(file=file, **PLAIN)
    train, validation, test = of(task)
    assert [len(train), len(validation), len(test)] == [28, 4, 4]
    assert len({*train, *validation, *test}) == 36
    assert of(pairs(file=str(file), **PLAIN)) == [train, validation, test]
    assert of(pairs(file=file, **{**PLAIN, "seed": 1}))[2] != test
    half = of(pairs(file=file, **{**PLAIN, "fraction": 0.5}))
    assert half[1:] == [validation, test]
    assert set(half[0]) < set(train)
    assert [task.generation.answers[i] for i in task.test.inputs] == [completion for _, completion in test]
    assert task.metric == "exact_match"
    assert pairs(file=file, **{**PLAIN, "verifier": None}).metric == "token_accuracy"
    assert pairs(file=file, **{**PLAIN, "metric": "token_accuracy"}).metric == "token_accuracy"


def test_a_prompt_is_in_one_split(tmp_path):
    """However many completions it has; a line that comes again counts once."""
    some = [row for prompt in "abcdefghijkl" for answer in "xyz" for row in rows(prompt, completion=answer)]
    file = write_rows(tmp_path / "a.jsonl", [*some, *some])
    for seed in range(5):
        found = of(pairs(file=file, **{**PLAIN, "seed": seed}))
        assert [len(split) for split in found] == [30, 3, 3]
        prompts = [{prompt for prompt, _ in split} for split in found]
        assert sum(map(len, prompts)) == len(set.union(*prompts)) == 12


def test_files_of_their_own(tmp_path):
    train = write_rows(tmp_path / "train.jsonl", rows(*"abcdefghij"))
    test = write_rows(tmp_path / "test.jsonl", rows("y", "z"))
    found = of(pairs(file=train, **{**PLAIN, "test_file": test}))
    assert [len(split) for split in found] == [9, 1, 2]
    assert [prompt for prompt, _ in found[2]] == ["y", "z"]
    files = {"validation_file": test, "test_file": write_rows(tmp_path / "c.jsonl", rows("c"))}
    found = of(pairs(file=write_rows(tmp_path / "one.jsonl", rows("a")), **{**PLAIN, **files}))
    assert [[prompt for prompt, _ in split] for split in found] == [["a"], ["y", "z"], ["c"]]


def test_conversations(tmp_path):
    said = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u{}"},
        {"role": "assistant", "content": "a"},
    ]
    lines = [{"messages": [{**m, "content": m["content"].format(i)} for m in said]} for i in range(3)]
    task = pairs(file=write_rows(tmp_path / "chat.jsonl", lines), **PLAIN)
    assert task.generation.chat
    prompt, completion = of(task)[0][0]
    assert [message["role"] for message in json.loads(prompt)] == ["system", "user"]
    assert completion == "a"


BAD = [
    ('{"prompt": "a", "completion": "b"}\n\n{"prompt": "a", ', r"bad.jsonl, line 3: is no JSON \(Expecting property"),
    ("[" * 100_000, r"bad.jsonl, line 1: is no JSON \(\w+Error|line 1: is no JSON"),
    ("3\n", "bad.jsonl, line 1: is no JSON object but '3': need"),
    ('{"prompt": "a", "answer": "b"}', "line 1: has no 'completion', keys 'prompt', 'answer': need"),
    ('{"completion": "b"}', "line 1: has no 'prompt', keys 'completion'"),
    ("{}", "line 1: has no 'prompt', keys none"),
    ('{"prompt": "a", "completion": 3}', "line 1: has no text as 'completion'"),
    ('{"prompt": "a", "completion": " \\n"}', "line 1: has an empty completion: leave it out"),
    ('{"prompt": "", "completion": "a"}', "line 1: has an empty prompt: leave it out"),
    ('{"prompt": "\\ud800", "completion": "a"}', "line 1: has half of a character"),
    ('{"messages": [{"role": "user", "content": "a"}]}', "line 1: need messages as two or more"),
    ('{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "a"}]}', "the last by the assistant"),
    ('{"messages": [{"role": "user"}, {"role": "assistant", "content": "a"}]}', "line 1: need messages as two or more"),
    (
        '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}]}',
        "line 1: has an empty completion",
    ),
    (
        '{"prompt": "a", "completion": "b"}\n'
        '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}',
        "need prompt and completion on every line, or messages on every line, got both",
    ),
    ("\n", "bad.jsonl has no example: need"),
    ('{"prompt": "a", "completion": "b"}', "need 3 different prompts or more, for as many splits, got 1"),
]


@pytest.mark.parametrize(("content", "match"), BAD, ids=[match for _, match in BAD])
def test_a_bad_line(tmp_path, content, match):
    (tmp_path / "bad.jsonl").write_text(content)
    with pytest.raises(UserError, match=match) as caught:
        pairs(file=tmp_path / "bad.jsonl", **PLAIN)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"file": None}, "need dataset.file as a JSONL file, got file=None"),
        ({"file": "absent.jsonl"}, r"absent.jsonl: cannot be read \(No such file or directory\): need"),
        ({"loss_on": "prompt"}, "need dataset.loss_on=completion or all, got loss_on='prompt'"),
        ({"verifier": "sympy"}, "need dataset.verifier=exact, number or null, got verifier='sympy'"),
        ({"metric": "accuracy"}, "need dataset.metric=exact_match or token_accuracy.*got metric='accuracy'"),
        ({"metric": "exact_match", "verifier": None}, "the first with dataset.verifier, got metric='exact_match'"),
        ({"max_new_tokens": 0}, "need an integer dataset.max_new_tokens >= 1, got"),
        ({"fraction": 2}, "need 0 < fraction <= 1, got fraction=2"),
    ],
)
def test_a_bad_choice(tmp_path, change, match):
    file = write_sums(tmp_path / "sums.jsonl")
    with pytest.raises(UserError, match=match):
        pairs(**{**PLAIN, "file": file, **change})


def test_a_prompt_in_two_files(tmp_path):
    train = write_rows(tmp_path / "train.jsonl", rows("a", "b", "c"))
    test = write_rows(tmp_path / "test.jsonl", [*rows("d"), *rows("b", completion="2")])
    with pytest.raises(
        UserError, match=r"test.jsonl, line 2: its prompt stands in .*train.jsonl, line 2, too: no prompt"
    ):
        pairs(file=train, **{**PLAIN, "test_file": test})


def test_a_reference_without_a_number(tmp_path):
    file = write_rows(tmp_path / "a.jsonl", [*rows("a", "b"), *rows("c", completion="none")])
    with pytest.raises(UserError, match=r"line 3: the completion 'none' has no number: use dataset.verifier=exact"):
        pairs(file=file, **{**PLAIN, "verifier": "number"})
