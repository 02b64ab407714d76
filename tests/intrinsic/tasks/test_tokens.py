"""Texts to tokens, and batches of similar lengths."""

import pytest
import torch
from safetensors.torch import load_file, save_file

import intrinsic
from intrinsic.errors import UserError
from intrinsic.models.hf_tokenizer import HFTokenizer
from intrinsic.tasks.batches import batches, bucket
from intrinsic.training.evaluate import evaluate
from intrinsic.training.fit_replicas import fit_replicas
from tests.support.tiny import TEXTS, build, make_tokenizer, many, text_task

pytest.importorskip("transformers")


def test_tokens_are_those_of_the_tokenizer(folders, tmp_path):
    task = text_task(folders["bert"], tmp_path)
    expected = make_tokenizer()([text for (text,) in TEXTS])["input_ids"]
    assert task.train.lengths.tolist() == [len(row) for row in expected]
    for row, ids in zip(task.train.inputs, expected, strict=True):
        assert row[0].tolist() == ids + [-1] * (task.input_shape[1] - len(ids))
    assert text_task(folders["bert"], tmp_path, max_length=4).train.lengths.tolist() == [4, 3, 4, 4]


def test_texts_are_cut_once(folders, tmp_path, monkeypatch):
    calls = []
    usual = HFTokenizer.__call__
    monkeypatch.setattr(HFTokenizer, "__call__", lambda self, texts: calls.append(0) or usual(self, texts))
    first = text_task(folders["bert"], tmp_path)
    again = text_task(folders["bert"], tmp_path)
    assert len(calls) == 1
    assert torch.equal(first.train.inputs, again.train.inputs)
    text_task(folders["bert"], tmp_path, max_length=4)
    text_task(folders["bert"], tmp_path, TEXTS[:3])
    assert len(calls) == 3
    for path in (tmp_path / "tokens").iterdir():  # damaged: made again
        path.write_bytes(path.read_bytes()[:-5])
    assert torch.equal(text_task(folders["bert"], tmp_path).train.inputs, first.train.inputs)
    assert torch.equal(text_task(folders["bert"], tmp_path).train.inputs, first.train.inputs)
    assert len(calls) == 4


def test_where_tokens_cannot_be_kept_they_are_cut_anew(folders, tmp_path, capsys, monkeypatch):
    """A folder that is read-only holds for root as well where there is a file in its place."""
    expected = text_task(folders["bert"], tmp_path).train.inputs
    (tmp_path / "file").write_text("kept")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tokens").write_text("kept")
    capsys.readouterr()
    for place in (tmp_path / "file", tmp_path / "data", "~no_such_user/data", "a\0b", "/proc/nowhere"):
        assert torch.equal(text_task(folders["bert"], place).train.inputs, expected)
        out, err = capsys.readouterr()
        (line,) = err.splitlines()
        assert line.startswith("tokens are not kept: ")
        assert "data_dir" not in line
        assert not out
    assert (tmp_path / "file").read_text() == (tmp_path / "data" / "tokens").read_text() == "kept"


def test_tokens_that_are_not_those_that_were_kept_are_cut_anew(folders, tmp_path):
    expected = text_task(folders["bert"], tmp_path).train.inputs
    (path,) = (tmp_path / "tokens").iterdir()
    whole, tensors = path.read_bytes(), load_file(path)
    ids, kinds, lengths = tensors["ids"], tensors["kinds"], tensors["lengths"]
    for changed in [
        tensors | {"ids": ids.flip(0)},
        tensors | {"ids": ids - 100},
        tensors | {"ids": ids.float()},
        tensors | {"kinds": kinds[:-1]},
        tensors | {"lengths": lengths.flip(0)},
        {"ids": ids, "lengths": lengths},
        {name: tensor.reshape(1, -1) for name, tensor in tensors.items()},
    ]:
        save_file(changed, path)
        assert torch.equal(text_task(folders["bert"], tmp_path).train.inputs, expected)
        assert path.read_bytes() == whole  # written again
    for place in range(0, len(whole), 97):  # one bit
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert torch.equal(text_task(folders["bert"], tmp_path).train.inputs, expected)


# Batches


def test_batches_hold_similar_lengths():
    lengths = torch.randint(1, 60, (1003,), generator=torch.Generator().manual_seed(0))
    order = torch.randperm(1003, generator=torch.Generator().manual_seed(1))
    drawn = bucket(order, lengths, 8, seed=2)
    assert torch.equal(drawn.sort().values, torch.arange(1003))
    assert torch.equal(drawn, bucket(order, lengths, 8, seed=2))
    assert not torch.equal(drawn, bucket(order, lengths, 8, seed=3))
    padded, plain = (sum(int(lengths[b].max()) * len(b) for b in o.split(8)) for o in (drawn, order))
    assert padded < 1.05 * int(lengths.sum()) < plain / 1.5
    whole = [int(lengths[b].max()) for b in drawn.split(8)]
    assert whole != sorted(whole)  # long and short ones in turn


def test_batches_are_trimmed_to_their_longest(folders, tmp_path):
    split = text_task(folders["bert"], tmp_path, many()).train
    order = split.lengths.argsort()
    for (inputs, targets), rows in zip(batches(split, order, 7), order.split(7), strict=True):
        assert inputs.shape == (len(rows), 2, split.lengths[rows].max())
        assert torch.equal(targets, split.targets[rows])
        assert int((inputs[:, 0] >= 0).sum()) == int(split.lengths[rows].sum())


def test_evaluation_is_that_of_one_batch(folders, tmp_path):
    task = text_task(folders["bert"], tmp_path, many())
    net = intrinsic.Subspace(build(folders["bert"]))
    found = evaluate(net, task, task.test)
    net.eval()
    with torch.no_grad():
        outputs = net(task.test.inputs)
    expected = {
        "loss": task.loss(outputs, task.test.targets).item(),
        "accuracy": task.score(outputs, task.test.targets).mean().item(),
    }
    assert found == pytest.approx(expected, rel=1e-5)


def test_metrics_see_the_whole_split_in_step(folders, tmp_path):
    from dataclasses import replace

    task = text_task(folders["bert"], tmp_path, many())
    both = replace(task, score=None, metrics=lambda o, t: {"accuracy": (o.argmax(1) == t).float().mean().item()})
    net = intrinsic.Subspace(build(folders["bert"]))
    assert evaluate(net, both, both.test) == pytest.approx(evaluate(net, task, task.test))
    with pytest.raises(UserError, match="judged by score or by metrics, got neither"):
        replace(task, score=None)


def test_replicas_of_texts_are_refused(folders, tmp_path):
    task = text_task(folders["bert"], tmp_path)
    nets = [intrinsic.Subspace(build(folders["bert"], seed=seed)) for seed in (0, 1)]
    with pytest.raises(UserError, match=r"need inputs of one length, .*: use replicas=1"):
        fit_replicas(nets, task, torch.optim.Adam, lrs=[0.1, 0.1], seeds=[0, 1], epochs=1, batch_size=2)
