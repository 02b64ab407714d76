"""Language models: what they predict, how it is judged, and what they refuse."""

import math
from dataclasses import replace

import pytest
import torch

import intrinsic
from intrinsic.errors import UserError
from intrinsic.models.hugging_face.objective import hf_objective
from intrinsic.tasks.language import token_counts, token_hits, token_loss
from intrinsic.training.evaluate import evaluate
from tests.support.language_tasks import build, every_kind, task_of
from tests.support.tiny import make_folder, many
from tests.support.tiny_language import OBJECTIVES

pytest.importorskip("transformers")


def naive(model, task, split):
    """Loss, accuracy and count of tokens in float64, text by text and token by token, without padding."""
    model = model.double().eval()
    losses, hits = [], []
    for row, targets in zip(split.inputs, split.targets, strict=True):
        used = int((row[0] >= 0).sum())
        logits = model(input_ids=row[:1, :used].long()).logits[0]
        for place in range(used):
            if (target := int(targets[place])) >= 0:
                losses.append(float(logits[place].logsumexp(0) - logits[place, target]))
                hits.append(int(logits[place].argmax()) == target)
    return sum(losses) / len(losses), sum(hits) / len(hits), len(losses)


@every_kind
@torch.no_grad()
def test_evaluation_is_the_naive_one(kind, language_folders, tmp_path, monkeypatch):
    """Padded batches of one and of few texts, against one text at a time."""
    task = task_of(language_folders[kind], tmp_path, OBJECTIVES[kind], many(40))
    net = intrinsic.Subspace(build(language_folders[kind]))
    loss, accuracy, count = naive(build(language_folders[kind]), task, task.test)
    assert count == int(task.tokens(task.test.targets).sum())
    for logits in (1 << 26, 18 * 16 * 7, 1):
        monkeypatch.setattr("intrinsic.training.evaluate.EVALUATION_LOGITS", logits)
        found = evaluate(net, task, task.test)
        assert found == pytest.approx(
            {"loss": loss, "accuracy": accuracy, "perplexity": math.exp(loss)}, rel=1e-5
        )  # rounding of float32


def test_evaluation_keeps_no_logits(language_folders, tmp_path, monkeypatch):
    task = task_of(language_folders["gpt2"], tmp_path, "causal", many(40))
    sizes = []
    seen = replace(task, loss=lambda outputs, targets: sizes.append(outputs.numel()) or token_loss(outputs, targets))
    monkeypatch.setattr("intrinsic.training.evaluate.EVALUATION_LOGITS", 18 * 40)
    evaluate(intrinsic.Subspace(build(language_folders["gpt2"])), seen, seen.test)
    assert max(sizes) <= 18 * 40


def test_a_perplexity_beyond_all_numbers_is_infinite(language_folders, tmp_path):
    task = task_of(language_folders["gpt2"], tmp_path, "causal")
    found = evaluate(
        intrinsic.Subspace(build(language_folders["gpt2"])),
        replace(task, loss=lambda *_: torch.tensor(1000.0)),
        task.test,
    )
    assert found["perplexity"] == math.inf


def test_causal_targets_are_the_next_tokens(language_folders, tmp_path):
    task = task_of(language_folders["gpt2"], tmp_path, "causal")
    for row, targets in zip(task.train.inputs, task.train.targets, strict=True):
        ids = [int(token) for token in row[0] if token >= 0]
        assert targets.tolist() == ids[1:] + [-1] * (len(targets) - len(ids) + 1)
    assert task.noise is None
    assert task.num_outputs == 18


def test_masks_are_those_of_bert(language_folders, tmp_path):
    """15 % of a text's tokens, at least one, no special ones; of these 80, 10 and 10 %."""
    texts = [(" ".join(["good", "bad", "film", "story"][(i + j) % 4] for j in range(2 + i % 13)),) for i in range(3000)]
    folder = language_folders["bert"]
    task = task_of(folder, tmp_path, "masked", texts)
    plain = task_of(folder, tmp_path, "causal", texts)
    for read, targets in [
        (task.train.inputs, task.train.targets),
        task.noise(task.train.inputs, task.train.targets),
    ]:
        ids, hidden = plain.train.inputs[:, 0], targets >= 0
        assert torch.equal(targets[hidden], ids[hidden])
        assert torch.equal(read[:, 0][~hidden], ids[~hidden])
        assert torch.equal(read[:, 1], plain.train.inputs[:, 1])
        words = (ids > 4).sum(1)  # [PAD], [UNK], [CLS], [SEP] and </s> stand first
        assert torch.equal(hidden.sum(1), (0.15 * words).round().clamp(min=1).long())
        assert (ids[hidden] > 4).all()
        count, masked = int(hidden.sum()), read[:, 0][hidden] == 17
        kept = read[:, 0][hidden] == ids[hidden]
        # a random token is the mask or the token itself in 1 of 18 draws; three standard errors of 4,000 draws
        assert float(masked.float().mean()) == pytest.approx(0.8 + 0.1 / 18, abs=3 * (0.16 / count) ** 0.5)
        assert float(kept.float().mean()) == pytest.approx(0.1 + 0.1 / 18, abs=3 * (0.1 / count) ** 0.5)
    same, other = (task_of(folder, tmp_path, "masked", texts, seed=seed) for seed in (0, 1))
    assert torch.equal(task.test.inputs, same.test.inputs)
    assert not torch.equal(task.test.inputs, other.test.inputs)
    assert not torch.equal(task.test.targets, task.validation.targets)


def test_training_masks_change_with_the_step_and_not_with_the_past(language_folders, tmp_path):
    task = task_of(language_folders["bert"], tmp_path, "masked", many(20))
    inputs, targets = task.train.inputs[:, :, :9], task.train.targets
    torch.manual_seed(3)
    first, second = task.noise(inputs, targets), task.noise(inputs, targets)
    torch.manual_seed(3)
    again = task.noise(*second)  # of what was masked before
    assert not torch.equal(first[1], second[1])
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert first[0].shape == inputs.shape
    assert first[0].dtype == inputs.dtype


@torch.no_grad()
def test_only_hidden_tokens_are_judged():
    outputs = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.tensor([[-1, 4, -1, -1], [2, -1, 0, -1]], dtype=torch.int32)  # a column beyond the longest
    expected = [outputs[0, 1].log_softmax(0)[4], outputs[1, 0].log_softmax(0)[2], outputs[1, 2].log_softmax(0)[0]]
    torch.testing.assert_close(token_loss(outputs, targets), -torch.stack(expected).mean())
    assert token_counts(targets).tolist() == [1, 2]
    outputs[0, 1, 4] = outputs[1, 2, 0] = outputs[0, 0] = 9
    outputs[1, 0, 2] = -9
    assert token_hits(outputs, targets).tolist() == [1, 1]
    assert token_loss(outputs, torch.full((2, 3), -1)) == 0


# Models


@pytest.mark.parametrize("kind", ["gpt2", "llama", "bert"])
@torch.no_grad()
def test_a_later_token_changes_no_earlier_logit(kind, language_folders, tmp_path):
    """BERT, too, where it is to be causal."""
    task = task_of(language_folders[kind], tmp_path, "causal")
    model = build(language_folders[kind], objective="causal").eval()
    inputs = task.train.inputs[3:]  # the longest
    before = model(inputs)
    for place in range(1, inputs.shape[-1]):
        changed = inputs.clone()
        changed[0, 0, place] = 9
        after = model(changed)
        torch.testing.assert_close(after[:, :place], before[:, :place], atol=1e-6, rtol=1e-5)
        assert int(inputs[0, 0, place]) == 9 or not torch.allclose(after[:, place], before[:, place], atol=1e-4)


def test_a_causal_model_that_sees_later_tokens_is_refused(tmp_path):
    import transformers

    config = transformers.XLNetConfig(vocab_size=18, d_model=16, n_layer=2, n_head=2, d_inner=32)
    transformers.XLNetLMHeadModel(config).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"sees later tokens: need another model, or model.objective=masked"):
        build(tmp_path)


def test_how_a_model_was_trained(language_folders, tmp_path):
    for kind, folder in language_folders.items():
        assert hf_objective(str(folder), None) == OBJECTIVES[kind]
    assert hf_objective(str(language_folders["bert"]), "causal") == "causal"
    classifier = make_folder(tmp_path / "bert", "bert")  # both are possible, neither is said
    assert hf_objective(str(classifier), None) == "masked"


# Mistakes
