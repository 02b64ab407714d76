"""Pretrained models of transformers: what they read, how they start, and bad folders."""

import json

import pytest
import torch
from safetensors.torch import load_file

from intrinsic.errors import UserError
from intrinsic.models.hf import hf
from intrinsic.models.hf_tokenizer import HFTokenizer
from intrinsic.training.fit import fit
from tests.support.configs import composed
from tests.support.pairwise import diagonal
from tests.support.tiny import ARCHITECTURES, PLAIN, TEXTS, build, make_folder, make_tokenizer, text_task

pytestmark = pytest.mark.slow

pytest.importorskip("transformers")
every_architecture = pytest.mark.parametrize("kind", ARCHITECTURES)


@every_architecture
def test_it_gives_the_logits_of_transformers(kind, folders, tmp_path):
    """Text by text, unpadded, through transformers' own tokenizer and model."""
    model, task = build(folders[kind]).eval(), text_task(folders[kind], tmp_path)
    with torch.no_grad():
        together = model(task.train.inputs)
        for row, text in enumerate(TEXTS):
            cut = make_tokenizer()(*text, return_tensors="pt", return_token_type_ids=False)
            alone = model(**cut).logits
            # a text is padded beside longer ones: other sums of the same numbers
            torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


@every_architecture
def test_padding_is_not_read(kind, folders, tmp_path):
    model, task = build(folders[kind]).eval(), text_task(folders[kind], tmp_path)
    wider = torch.nn.functional.pad(task.train.inputs, (0, 3), value=-1)
    with torch.no_grad():
        torch.testing.assert_close(model(wider), model(task.train.inputs), atol=1e-5, rtol=1e-5)


def test_the_second_text_is_told_from_the_first(folders, tmp_path):
    task = text_task(folders["bert"], tmp_path, [("good film", "bad film"), ("good", "not bad")])
    assert task.train.inputs[0, 1].tolist() == [0, 0, 0, 0, 1, 1, 1]
    model = build(folders["bert"]).eval()
    changed = task.train.inputs.clone()
    changed[0, 1] = 0
    with torch.no_grad():
        assert not torch.allclose(model(changed)[0], model(task.train.inputs)[0])


def test_where_it_starts(folders):
    """Pretrained: the folder's weights and a head of the seed; random: all of the seed."""
    stored = load_file(folders["bert"] / "model.safetensors")
    first, again, other = (dict(build(folders["bert"], seed=seed).named_parameters()) for seed in (0, 0, 1))
    random = dict(build(folders["bert"], source=None, seed=5).named_parameters())
    assert stored.keys() == first.keys() == random.keys()
    for name, parameter in first.items():
        assert torch.equal(parameter, again[name])
        assert torch.equal(parameter, stored[name]) == (name != "classifier.weight"), name  # biases are zero in both
        assert torch.equal(parameter, other[name]) == (name != "classifier.weight"), name
    assert not torch.equal(
        random["bert.embeddings.word_embeddings.weight"], stored["bert.embeddings.word_embeddings.weight"]
    )
    assert build(folders["bert"], num_outputs=3).classifier.weight.shape == (3, 16)
    kept = build(folders["bert"], classifier="folder")
    assert torch.equal(kept.classifier.weight, stored["classifier.weight"])


def test_an_encoder_without_a_head_gets_one(folders, tmp_path):
    from transformers import AutoModel

    AutoModel.from_pretrained(folders["bert"]).save_pretrained(tmp_path)
    model = build(tmp_path)
    expected = load_file(folders["bert"] / "model.safetensors")
    for name, parameter in model.bert.named_parameters():
        assert torch.equal(parameter, expected[f"bert.{name}"])
    with pytest.raises(UserError, match=r"has no head of its own: use model.classifier=new"):
        build(tmp_path, classifier="folder")


def test_half_precision_is_close_and_returns_single(folders, tmp_path):
    task = text_task(folders["bert"], tmp_path)
    half, single = (build(folders["bert"], precision=p).eval() for p in ("bfloat16", "auto"))
    with torch.no_grad():
        outputs, expected = half(task.train.inputs), single(task.train.inputs)
    assert outputs.dtype == torch.float32
    assert not torch.equal(outputs, expected)  # auto on a CPU is float32
    torch.testing.assert_close(outputs, expected, atol=0.02, rtol=0)  # 8 bits of products near 1, twice a layer


@pytest.mark.parametrize(
    ("method", "kind"), diagonal(["full", "head", "lora", "subspace", "said"], list(ARCHITECTURES))
)
def test_methods_take_a_step(method, kind, folders, tmp_path):
    from experiments.run.setup import Setup

    dim = ["dim=60"] if method in ("subspace", "said") else []
    config = composed(f"method={method}", "model=hf", f"model.name={folders[kind]}", "dataset=sst2", *dim)
    task = text_task(folders[kind], tmp_path)
    setup = Setup(config)
    setup.device, setup.task = torch.device("cpu"), task
    net = setup.net
    before = [parameter.detach().clone() for parameter in net.parameters()]
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    (epoch,) = fit(net, task, optimizer, epochs=1, batch_size=2, seed=0)
    assert not epoch.diverged
    assert any(not torch.equal(*pair) for pair in zip(before, net.parameters(), strict=True))


# Mistakes


def test_bad_folders(folders, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    pickled = make_folder(tmp_path / "pickled", weights=False)
    (pickled / "pytorch_model.bin").write_bytes(b"anything")
    bare = make_folder(tmp_path / "bare", weights=False, tokenizer=False)
    damaged = make_folder(tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"anything")
    foreign = make_folder(tmp_path / "foreign", "bert")
    (foreign / "model.safetensors").write_bytes((folders["roberta"] / "model.safetensors").read_bytes())
    unpadded = make_folder(tmp_path / "unpadded", "gpt2", eos_token_id=None)
    for folder, options, match in [
        (empty, {}, r"empty has no config.json: need a folder as save_pretrained of transformers writes it"),
        (bare, {}, r"bare has no model.safetensors: add it, or use init=random"),
        (pickled, {}, r"pickled has pickled weights, pytorch_model.bin, which may run code: save as model.safetensors"),
        (damaged, {}, r"cannot load .*damaged \(.*\): need a model .* with weights in safetensors"),
        (foreign, {}, r"foreign lacks \d+ tensors of its model, such as bert\."),
        (unpadded, {}, r"unpadded: need a pad_token_id or an eos_token_id in config.json, got none"),
        (tmp_path / "nowhere", {}, r"there is no folder .*nowhere': need one with config.json and model.safetensors"),
        (
            "package:no_such_package/model",
            {},
            r"the package no_such_package is missing: pip install '[\w-]+\[text\]'",
        ),
        (
            folders["bert"],
            {"classifier": "folder", "num_outputs": 3},
            "has a head of 2 outputs, the task 3: use .*=new",
        ),
        (folders["bert"], {"classifier": "old"}, "need model.classifier=new or folder, got classifier='old'"),
        (folders["bert"], {"classifier": "folder", "source": None}, "classifier=folder needs init=hub"),
        (folders["bert"], {"precision": "half"}, "need model.precision=auto, .*, got precision='half'"),
        (folders["bert"], {"source": {"epochs": 3}}, "starts at init=hub .*, random or zero"),
    ]:
        with pytest.raises(UserError, match=match) as caught:
            build(folder, **options)
        assert "\n" not in str(caught.value)
    assert build(bare, source=None).classifier.out_features == 2  # untrained, it needs no weights
    with pytest.raises(UserError, match=r"bare has no tokenizer: add the model's tokenizer.json"):
        HFTokenizer(name=str(bare), max_length=16)
    with pytest.raises(UserError, match=r"need tokenizer.max_length <= 512 of .*, got max_length=513"):
        HFTokenizer(name=str(folders["bert"]), max_length=513)
    with pytest.raises(UserError, match=r"tokenizer: need an integer max_length >= 4, got max_length=0"):
        HFTokenizer(name=str(folders["bert"]), max_length=0)


def test_longer_than_the_model_reads(folders):
    with pytest.raises(UserError, match=r"reads 512 tokens, got 513: lower tokenizer.max_length"):
        hf((2, 513), 2, name=str(folders["bert"]), **PLAIN)


def test_a_text_of_no_tokens(folders, tmp_path):
    folder = make_folder(tmp_path / "plain")
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "post_processor": None}))
    with pytest.raises(UserError, match=r"cuts the text \(' ',\) into no token"):
        text_task(folder, tmp_path, [("good",), (" ",)])


def test_a_hub_id_while_offline(monkeypatch):
    import huggingface_hub

    def offline(*_args, **_kwargs):
        raise OSError("We couldn't connect to the hub\nCheck your connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(UserError, match=r"cannot load some/model \(OSError: .*; offline, give its folder, model.name="):
        build("some/model")
    with pytest.raises(UserError, match=r"cannot load some/model \(.*offline, give its folder, model.name=<folder>"):
        HFTokenizer(name="some/model", max_length=16)
