"""The `config.json` of a stranger's folder asks for nothing but a model of a size that fits, or ends in one line."""

import pytest
import torch

from intrinsic.models.hf_lm import hf_lm
from intrinsic.models.hf_tokenizer import HFTokenizer
from intrinsic.models.hugging_face.objective import hf_objective
from tests.support.strangers_folder import edit, refused
from tests.support.tiny import build, make_folder
from tests.support.tiny_language import MODEL

pytestmark = pytest.mark.slow

pytest.importorskip("transformers")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"quantization_config": {"quant_method": "bitsandbytes"}},
            "has quantization_config=.*: need .* plain weights",
        ),
        ({"transformers_weights": "adapter_model.bin"}, "has transformers_weights='adapter_model.bin'"),
        ({"configuration_files": ["config.4.0.0.json"]}, "has configuration_files="),
        ({"fusion_config": {"patch_embeddings": True}}, "has fusion_config="),
        ({"_attn_implementation": "kernels-community/evil"}, "has _attn_implementation=.*: need eager or sdpa"),
        ({"attn_implementation": "flash_attention_2"}, "has attn_implementation=.*: need eager or sdpa"),
        ({"text_config": {"attn_implementation": "evil/kernel"}}, "has attn_implementation='evil/kernel'"),
        ({"num_hidden_layers": 10**6}, "has num_hidden_layers='1000000': need 10000 at most"),
        ({"num_hidden_layers": 10**12}, "has num_hidden_layers="),
        ({"hidden_size": 10**9, "num_attention_heads": 10}, r"needs .* GB, .* GB of memory are free"),
        ({"vocab_size": 10**12}, r"needs .* GB, .* GB of memory are free"),
        ({"vocab_size": 10**30}, r"cannot load .*config|needs"),
        ({"model_type": None}, "names no model_type, such as 'bert'"),
        ({"pad_token_id": 1000}, r"cannot load .*\(.*\): need a model for sequence classification"),
        ({"num_attention_heads": 3}, r"cannot load .*multiple of the number of attention heads"),
        ({"num_hidden_layers": 1}, r"has \d+ tensors of layers that its config.json has no place for, such as 'bert\."),
        ({"num_hidden_layers": 3}, r"lacks 16 tensors of its model"),
        ({"hidden_act": "\x1b[31m\nevil" + "x" * 10_000}, r"cannot load .*\(KeyError"),
        ({"type_vocab_size": "two"}, "cannot load"),
        ({"layer_norm_eps": float("nan")}, "returns NaN or infinity for a text: its weights or its config.json are"),
        ({"get_text_config": 1}, "cannot load"),
    ],
)
@pytest.mark.parametrize("source", ["hub", None])
def test_configs_that_ask_for_too_much(tmp_path, changes, match, source):
    folder = make_folder(tmp_path / "model")
    edit(folder / "config.json", **changes)
    if source is None and changes in ({"num_hidden_layers": 1}, {"num_hidden_layers": 3}):
        assert build(folder, source=None)
    else:
        refused(match, build, folder, source=source)


def test_a_model_of_many_layers(tmp_path, monkeypatch):
    monkeypatch.setattr("intrinsic.models.hugging_face.size.PARTS", 300)
    folder = make_folder(tmp_path / "model", num_hidden_layers=20)
    refused("has more than 300 modules and tensors: need fewer layers in its config.json", build, folder)
    torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(1000))  # other models are not counted


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "[" * 100_000, '{"model_type": 3}', "\x00"])
def test_a_config_that_is_none(tmp_path, content):
    folder = make_folder(tmp_path / "model")
    (folder / "config.json").write_text(content)
    match = r"config.json (is not a JSON object|is not JSON|names no model_type)"
    refused(match, build, folder)
    refused(match, HFTokenizer, name=str(folder), max_length=16)
    refused(match, hf_objective, str(folder), None)
    refused(match, hf_lm, (2, 8), 17, name=str(folder), **MODEL)
