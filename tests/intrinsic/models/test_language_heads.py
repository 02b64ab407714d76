"""Language models around which methods are put: their head, their start, and what is refused."""

from dataclasses import replace

import pytest
import torch

import intrinsic
from experiments.run.setup import Setup
from intrinsic.errors import UserError
from intrinsic.models.hf_lm import hf_lm
from intrinsic.training.evaluate import evaluate
from intrinsic.training.fit import fit
from intrinsic.training.fit_replicas import fit_replicas
from tests.support.configs import composed
from tests.support.language_tasks import build, every_kind, task_of
from tests.support.pairwise import diagonal
from tests.support.tiny import make_folder, many
from tests.support.tiny_language import MODEL, OBJECTIVES, make_language_folder

pytestmark = pytest.mark.slow

pytest.importorskip("transformers")


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


@pytest.mark.parametrize(
    ("method", "kind"), diagonal(["full", "lora", "subspace", "said", "prefix", "adapter"], list(HEADS))
)
def test_methods_start_as_the_model_and_lower_the_loss(method, kind, language_folders, tmp_path):
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
