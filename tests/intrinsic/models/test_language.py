"""Language models: what they predict, how it is judged, and what they refuse."""

import math
from dataclasses import replace

import pytest
import torch

import intrinsic
from experiments.run.setup import Setup
from intrinsic.errors import UserError
from intrinsic.models.hf_lm import hf_lm
from intrinsic.models.hf_tokenizer import HFTokenizer
from intrinsic.models.hugging_face.objective import hf_objective
from intrinsic.tasks.language import language, plain_text, token_counts, token_hits, token_loss
from intrinsic.tasks.task import Split
from intrinsic.tasks.tokens import tokenize
from intrinsic.training.evaluate import evaluate
from intrinsic.training.fit import fit
from intrinsic.training.fit_replicas import fit_replicas
from tests.support.configs import composed
from tests.support.tiny import make_folder, many
from tests.support.tiny_language import LANGUAGE, MODEL, OBJECTIVES, make_language_folder

pytest.importorskip("transformers")
every_kind = pytest.mark.parametrize("kind", LANGUAGE)
TEXTS = [("a good film",), ("bad",), ("not a very good story",), ("the film was very very very dull",)]


def task_of(folder, tmp_path, objective, texts=TEXTS, seed=0):
    """A task of plain texts, all of them in each split."""
    split = Split(torch.arange(len(texts)), torch.zeros(len(texts), dtype=torch.int64))
    tokenizer = HFTokenizer(name=str(folder), max_length=16)
    tokens = tokenize(plain_text(split, split, split, texts), tokenizer, tmp_path)
    return language(tokens, tokenizer, objective=objective, seed=seed)


def build(folder, **changes):
    torch.manual_seed(0)
    return hf_lm((2, 8), 18, name=str(folder), **{**MODEL, **changes})


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


HEADS = {"bert": "cls.predictions.decoder", "gpt2": "lm_head", "llama": "lm_head"}


@every_kind
def test_the_head_is_the_output_embedding_and_tied_weights_appear_once(kind, language_folders):
    from intrinsic.surgery.head import find_head

    model = build(language_folders[kind])
    assert find_head(model) == HEADS[kind]
    tied = {"bert": "bert.embeddings.word_embeddings.weight", "gpt2": "transformer.wte.weight"}.get(kind)
    head = intrinsic.Head().wire(model, seed=0)
    assert set(head) == {"bert": {tied, "cls.predictions.bias"}, "gpt2": {tied}, "llama": {"lm_head.weight"}}[kind]
    everything = sum({id(p): p.numel() for p in model.parameters()}.values())
    assert intrinsic.Subspace(model).count()["full_dim"] == everything
    for mode, beside in (("freeze", 0), ("train", sum(p.numel() for p in head.values()))):
        net = intrinsic.Subspace(build(language_folders[kind]), space=intrinsic.BitFit() if kind != "llama" else
                                 intrinsic.LoRA(2), head=mode)  # fmt: skip
        assert net.count()["head"] == beside
    net = intrinsic.Subspace(
        build(language_folders[kind]), space=intrinsic.LoRA(2), projection=intrinsic.Fastfood, dim=9, head="project"
    )
    with torch.no_grad():
        net.z.fill_(0.1)
        weights = net.weights()
        assert (tied or "lm_head.weight") in weights
        before = net.eval()(torch.ones(1, 2, 3, dtype=torch.int32))
        torch.testing.assert_close(net.merge()(torch.ones(1, 2, 3, dtype=torch.int32)), before, atol=1e-5, rtol=1e-5)


@every_kind
@pytest.mark.parametrize("method", ["full", "lora", "subspace", "said", "prefix", "adapter"])
def test_methods_start_as_the_model_and_lower_the_loss(kind, method, language_folders, tmp_path):
    size = ["dim=100"] if method in ("subspace", "said") else []
    config = composed(f"method={method}", "model=hf_lm", f"model.name={language_folders[kind]}", "dataset=text", *size)
    task = task_of(language_folders[kind], tmp_path, OBJECTIVES[kind], many(30))
    setup = Setup(config)
    setup.device, setup.task = torch.device("cpu"), task
    net = setup.net
    start = evaluate(net, task, task.test)
    with torch.no_grad():
        plain = build(language_folders[kind]).eval()(task.test.inputs)
        torch.testing.assert_close(net.eval()(task.test.inputs), plain, atol=0, rtol=0)
    rate = {"subspace": 0.3, "said": 0.3, "prefix": 0.05}.get(method, 0.01)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    *_, last = fit(net, task, optimizer, epochs=4, batch_size=4, seed=0)
    assert last.test["loss"] < start["loss"] - 0.01
    assert set(last.validation) == {"loss", "accuracy", "perplexity"}


# Mistakes


def test_bad_models(language_folders, tmp_path):
    encoder = make_folder(tmp_path / "encoder", "bert", vocab_size=18)
    pair = make_folder(tmp_path / "pair", "t5")
    for folder, options, match in [
        (pair, {}, r"model=hf_lm reads decoders and encoders, got the encoder-decoder t5"),
        (language_folders["gpt2"], {"objective": "masked"}, r"no masked language model of gpt2: use .*=causal"),
        (language_folders["gpt2"], {"objective": "both"}, r"need model.objective=causal, masked or null, got .*'both'"),
        (language_folders["gpt2"], {"classifier": "old"}, r"need model.classifier=new or folder, got .*'old'"),
        (encoder, {}, r"encoder has no cls.predictions.*: use model.classifier=new to draw what is absent"),
        (language_folders["gpt2"], {"precision": "half"}, r"need model.precision=auto, .* got precision='half'"),
        (language_folders["gpt2"], {"source": {"epochs": 3}}, r"model=hf_lm starts at init=hub .*, random or zero"),
        (tmp_path / "nowhere", {}, r"there is no folder .*nowhere"),
    ]:  # fmt: skip
        with pytest.raises(UserError, match=match) as caught:
            build(folder, **options)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"bert knows 18 tokens, its tokenizer 19: need the model's own tokenizer"):
        hf_lm((2, 8), 19, name=str(language_folders["bert"]), **MODEL)
    with pytest.raises(UserError, match=r"reads 512 tokens, got 513: lower tokenizer.max_length"):
        hf_lm((2, 513), 18, name=str(language_folders["bert"]), **MODEL)
    with pytest.raises(UserError, match=r"hf_lm: need texts cut by its tokenizer, .*, got \(1, 8, 8\): .*=text"):
        hf_lm((1, 8, 8), 18, name=str(language_folders["bert"]), **MODEL)
    with pytest.raises(UserError, match=r"hf_lm: need an integer num_outputs >= 1, got num_outputs=0"):
        hf_lm((2, 8), 0, name=str(language_folders["bert"]), **MODEL)
    drawn = build(encoder, classifier="new")
    assert torch.equal(drawn.get_input_embeddings().weight, drawn.get_output_embeddings().weight)


def test_bad_texts(language_folders, tmp_path):
    unmasked = make_language_folder(tmp_path / "unmasked", "bert", mask=False)
    with pytest.raises(UserError, match=r"a masked language model needs a mask token, its tokenizer has none"):
        task_of(unmasked, tmp_path, "masked")
    with pytest.raises(UserError, match=r"the train texts have no token to predict: need texts of two tokens and more"):
        task_of(language_folders["bert"], tmp_path, "masked", [("unknown",), ("words",)])


def test_replicas_are_refused_noise(language_folders, tmp_path):
    task = task_of(language_folders["bert"], tmp_path, "masked")
    alike = [replace(split, lengths=None) for split in (task.train, task.validation, task.test)]
    task = replace(task, train=alike[0], validation=alike[1], test=alike[2])
    nets = [intrinsic.Subspace(build(language_folders["bert"])) for _ in range(2)]
    with pytest.raises(UserError, match=r"this task has noise of its own: use replicas=1"):
        fit_replicas(nets, task, torch.optim.Adam, lrs=[0.1, 0.1], seeds=[0, 1], epochs=1, batch_size=2)
