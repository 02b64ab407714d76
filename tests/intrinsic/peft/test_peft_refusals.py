"""PEFT's folders that are damaged or say what LoRA here cannot: one line each."""

import copy
import json
import re

import pytest
import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn

import intrinsic
from tests.support.peft_models import CONFIG, WEIGHTS, attention, bert, gpt2, stir


@pytest.fixture
def adapter(tmp_path):
    """A folder of PEFT's, for bert()."""
    config = LoraConfig(target_modules=["query", "value"], r=2, task_type=TaskType.SEQ_CLS, init_lora_weights=False)
    model = get_peft_model(bert(), config)
    stir([p for p in model.parameters() if p.requires_grad])
    model.save_pretrained(tmp_path)
    return tmp_path


def configured(**changes):
    def change(folder):
        config = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps(config | changes))

    return change


def with_tensors(edit):
    def change(folder):
        tensors = load_file(folder / WEIGHTS)
        edit(tensors)
        save_file(tensors, folder / WEIGHTS)

    return change


def without(name):
    return lambda folder: (folder / name).unlink()


def pickled(folder):
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    torch.save(tensors, folder / "adapter_model.bin")


QUERY = "base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight"


@pytest.mark.parametrize(
    ("change", "make", "match"),
    [
        (without(CONFIG), bert, "there is no .*adapter_config.json: need a folder that PEFT's save_pretrained"),
        (without(WEIGHTS), bert, "there is no .*adapter_model.safetensors: need a folder"),
        (pickled, bert, r"adapter_model.bin is a pickle, .* never read: save .*safe_serialization=True"),
        (lambda folder: (folder / CONFIG).write_text("{"), bert, "adapter_config.json cannot be read"),
        (lambda folder: (folder / CONFIG).write_text("[]"), bert, "adapter_config.json is damaged"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"no"), bert, "damaged or not a safetensors file"),
        (configured(peft_type="IA3"), bert, "needs lora_alpha=8, which IA3 here does not support"),
        (configured(use_dora=True), bert, "needs use_dora=True, which LORA here does not support"),
        (configured(bias="all"), bert, "needs bias='all', which LORA here does not support"),
        (configured(lora_bias=True), bert, "needs lora_bias=True"),
        (configured(init_lora_weights="pissa"), bert, "init_lora_weights='pissa', which changes the base's weights"),
        (configured(layer_replication=[[0, 1]]), bert, "needs layer_replication"),
        (configured(r=0), bert, "need an integer rank >= 1, got rank=0"),
        (configured(r=3), bert, r"holds \(2, 16\) for .*query.lora_A, and the model needs \(3, 16\)"),
        (configured(modules_to_save=["pooler", "classifier"]), bert, "NO ERROR"),
        (configured(modules_to_save="classifier"), bert, "need a list of names"),
        (configured(modules_to_save=None), bert, "brings its own classifier.* which is not the model's"),
        (with_tensors(lambda t: t.pop(QUERY)), bert, "query.lora_B.weight that does not fit Bert"),
        (
            with_tensors(lambda t: t.update({"base_model.model.x.weight": torch.ones(1)})),
            bert,
            "x.weight that does not",
        ),
        (with_tensors(lambda t: t.update({QUERY: torch.ones(3, 16)})), bert, r"holds \(3, 16\) for .*query.lora_A"),
        (with_tensors(lambda t: t.pop("base_model.model.classifier.bias")), bert, "holds nothing for classifier.bias"),
        (lambda folder: None, gpt2, "lora_A|updates bert.encoder|classifier"),
        (lambda folder: None, lambda: bert(hidden_size=32), r"holds \(2, 16\) for .* and the model needs \(2, 32\)"),
        (lambda folder: None, lambda: bert(num_labels=5), r"holds \(3.*for classifier"),
        (lambda folder: None, lambda: bert(num_hidden_layers=1), "updates bert.encoder.layer.1.attention.self.query"),
    ],
)
def test_bad_folders(adapter, change, make, match):
    change(adapter)
    model = make()
    model.bert.requires_grad_(False) if hasattr(model, "bert") else None
    before, flags = copy.deepcopy(model), [p.requires_grad for p in model.parameters()]
    if match == "NO ERROR":  # PEFT names heads that the model has not
        intrinsic.load_peft(model, adapter)
        return
    with pytest.raises(intrinsic.UserError, match=match) as caught:
        intrinsic.load_peft(model, adapter)
    assert "\n" not in str(caught.value)
    assert [type(module) for module in model.modules()] == [type(module) for module in before.modules()]
    assert [p.requires_grad for p in model.parameters()] == flags
    for mine, other in zip(model.parameters(), before.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_what_only_another_part_can_train_is_refused(tmp_path):
    config = LoraConfig(target_modules=["query"], modules_to_save=["pooler"])
    get_peft_model(bert(), config).save_pretrained(tmp_path)
    with pytest.raises(intrinsic.UserError, match=r"a trained bert.pooler, and here only the head \(classifier\)"):
        intrinsic.load_peft(bert(), tmp_path)


def test_an_output_projection_that_peft_updates_twice(tmp_path):
    theirs = get_peft_model(attention(), LoraConfig(target_modules=["self_attn"], init_lora_weights=False))
    theirs.save_pretrained(tmp_path)
    with pytest.raises(intrinsic.UserError, match=r"updates 1.self_attn.out_proj, which PEFT adds twice"):
        intrinsic.load_peft(attention(), tmp_path)


CONVOLUTIONS = {  # options of the layer, and what PEFT leaves out of them
    "dilation": ({"padding": "same", "dilation": 2}, r"without the dilation=\(2, 2\) of 0, .* another function"),
    "circular": ({"padding": 1, "padding_mode": "circular"}, "without the padding_mode=circular of 0"),
    "reflect": ({"padding": "same", "padding_mode": "reflect"}, "without the padding_mode=reflect of 0"),
    "one by one": ({"kernel_size": 1, "dilation": 2}, None),
    "nothing to pad": ({"padding_mode": "circular"}, None),
    "plain": ({"padding": 1, "stride": 2}, None),
}


def convolution(options):
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, **{"kernel_size": 3} | options)
    return nn.Sequential(layer, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions_that_peft_computes_otherwise(case, tmp_path):
    """PEFT's update of them is not W + s B A, and not what it merges to either."""
    options, match = CONVOLUTIONS[case]
    net, x = intrinsic.Subspace(convolution(options), space=intrinsic.LoRA(2, targets=["0"])), torch.randn(2, 4, 7, 7)
    stir(net.parameters())
    theirs = get_peft_model(convolution(options), LoraConfig(target_modules=["0"], r=2, init_lora_weights=False)).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    with torch.no_grad():
        if match is None:
            intrinsic.export_peft(net, tmp_path / "ours")
            torch.testing.assert_close(PeftModel.from_pretrained(convolution(options), tmp_path / "ours")(x), net(x))
            torch.testing.assert_close(intrinsic.load_peft(convolution(options), tmp_path / "theirs")(x), theirs(x))
            return
        before = theirs(x)
        assert not torch.allclose(theirs.merge_and_unload()(x), before, atol=1e-3)
    with pytest.raises(intrinsic.UserError, match=match):
        intrinsic.export_peft(net, tmp_path / "ours")
    model = convolution(options)
    with pytest.raises(intrinsic.UserError, match=match):
        intrinsic.load_peft(model, tmp_path / "theirs")
    assert type(model[0]) is nn.Conv2d


def shared():
    layer = nn.Linear(4, 4)
    return nn.ModuleDict({"a": layer, "b": layer, "head": nn.Linear(4, 2)})


@pytest.mark.parametrize(
    ("make", "options", "match"),
    [
        (
            bert,
            {"space": intrinsic.Full()},
            "PEFT's format holds space=lora or ia3, or full with select, got space=Full",
        ),
        (gpt2, {"space": intrinsic.LoRA(2), "head": "train"}, "would untie the head lm_head from transformer.wte"),
        (bert, {"space": intrinsic.LoRA(2, targets=".*query|classifier"), "head": "train"}, "leave it out of targets"),
        (attention, {"space": intrinsic.LoRA(2, targets=["in_proj", "out_proj"])}, "self_attn.out_proj twice, as seen"),
        (shared, {"space": intrinsic.LoRA(2)}, "updates a but not its other name b"),
    ],
)
def test_what_pefts_format_cannot_hold(make, options, match, tmp_path):
    net = intrinsic.Subspace(make(), **options)
    with pytest.raises(intrinsic.UserError, match=re.compile(match)):
        intrinsic.export_peft(net, tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(intrinsic.UserError, match="cannot write"):
        intrinsic.export_peft(intrinsic.Subspace(bert(), space=intrinsic.LoRA(2)), tmp_path / "file")
