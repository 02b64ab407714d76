"""PEFT's VeRA, (IA)^3 and `target_parameters`, read: the same outputs, and what is refused."""

import json

import pytest
import torch
from peft import (
    FourierFTConfig,
    IA3Config,
    LoraConfig,
    PrefixTuningConfig,
    PromptTuningConfig,
    ShiraConfig,
    TinyLoraConfig,
    UniLoraConfig,
    VeraConfig,
    get_peft_model,
)
from safetensors.torch import load_file, save_file

import intrinsic
from tests.intrinsic.peft.test_peft import TOLERANCE, outputs, peft_on
from tests.support.peft_models import CONFIG, WEIGHTS, bert, gpt2, stir
from tests.support.zoo import answer, member

pytestmark = pytest.mark.slow
VERA = {"target_modules": ["query", "value", "intermediate.dense"], "r": 3}
CASES = {
    "VeRA": (bert, VeraConfig(**VERA, vera_dropout=0.1)),
    "VeRA of Conv1D": (gpt2, VeraConfig(r=2, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True)),
    "SHiRA": (bert, ShiraConfig(r=2, target_modules=["query", "intermediate.dense"], task_type="SEQ_CLS")),
    "TinyLoRA": (bert, TinyLoraConfig(r=2, u=5, target_modules=["query", "value"], task_type="SEQ_CLS")),
    "TinyLoRA, tied": (gpt2, TinyLoraConfig(r=3, u=4, weight_tying=0.6, target_modules=["c_attn", "c_fc"])),
    "TinyLoRA, tied unevenly": (
        bert,
        TinyLoraConfig(r=2, u=3, weight_tying=0.3, target_modules=VERA["target_modules"]),
    ),
    "TinyLoRA of what is small": (bert, TinyLoraConfig(r=20, u=4, target_modules="all-linear", weight_tying=1.0)),
    "TinyLoRA, drawn": (bert, TinyLoraConfig(u=5, projection_seed=3, save_projection=False, target_modules=["query"])),
    "UniLoRA": (bert, UniLoraConfig(r=3, theta_d_length=50, target_modules=["query", "value"], save_indices=True)),
    "UniLoRA, drawn": (bert, UniLoraConfig(r=3, theta_d_length=50, target_modules=["query", "value"], proj_seed=4)),
    "UniLoRA of Conv1D": (gpt2, UniLoraConfig(r=2, theta_d_length=70, target_modules=["c_attn", "mlp.c_proj"])),
    "IA3": (bert, IA3Config(task_type="SEQ_CLS")),
    "IA3 of names": (bert, IA3Config(target_modules=["0.output.dense", "query"], feedforward_modules=["query"])),
    "IA3 of Conv1D": (gpt2, IA3Config(fan_in_fan_out=True)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore")  # PEFT's advice about projections that are not saved
def test_ours_on_pefts(case, tmp_path):
    make, config = CASES[case]
    check(make, config, tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_vera_whose_projection_is_drawn_anew(tmp_path):
    check(bert, VeraConfig(**VERA, save_projection=False, projection_prng_key=7), tmp_path)


def check(make, config, tmp_path):
    theirs = get_peft_model(make(), config).eval()
    stir([p for p in theirs.parameters() if p.requires_grad])
    theirs.save_pretrained(tmp_path)
    net = intrinsic.load_peft(make(), tmp_path).eval()
    expected = outputs(theirs)
    assert not torch.allclose(expected, outputs(make()), atol=100 * TOLERANCE)
    torch.testing.assert_close(outputs(net), expected, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(outputs(net.merge().eval()), expected, atol=TOLERANCE, rtol=0)
    intrinsic.save(net, tmp_path / "ours.safetensors")
    torch.testing.assert_close(outputs(intrinsic.load(make(), tmp_path / "ours.safetensors").eval()), outputs(net))
    intrinsic.export_peft(net, tmp_path / "back")
    torch.testing.assert_close(outputs(peft_on(make(), tmp_path / "back")), expected, atol=TOLERANCE, rtol=0)
    if isinstance(config, IA3Config | ShiraConfig):
        assert net.count()["trained"] == sum(p.numel() for p in theirs.parameters() if p.requires_grad)


SHIRA = {"space": intrinsic.Full(targets=["query", "value"]), "projection": intrinsic.Select}
WIDE = intrinsic.Full(targets=["query", "intermediate.dense"])
XS = {"space": intrinsic.LoRAXS(3, targets=["query", "value"], singular="input")}


@pytest.mark.parametrize(
    ("make", "options", "kind"),
    [
        (bert, {**SHIRA, "dim": 100, "head": "train"}, None),
        (bert, {**SHIRA, "dim": 41, "granularity": "block", "head": "project"}, None),
        (bert, {**SHIRA, "dim": 3}, "SHIRA"),  # most layers have none
        (bert, {**XS, "projection": intrinsic.Dense, "dim": 5, "head": "train"}, "TINYLORA"),
        (bert, {**XS, "projection": intrinsic.Dense, "dim": 5, "granularity": "tensor"}, "TINYLORA"),
        (bert, XS, "TINYLORA"),
        (gpt2, {"space": intrinsic.LoRAXS(10), "projection": intrinsic.OneHot, "dim": 7}, "TINYLORA"),
    ],
)
@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
def test_peft_on_ours(make, options, kind, tmp_path):
    net = intrinsic.Subspace(make(), **options).eval()
    stir(net.parameters())
    intrinsic.export_peft(net, tmp_path, peft_type=kind)
    ours = outputs(net)
    assert not torch.allclose(ours, outputs(make()), atol=100 * TOLERANCE)
    theirs = peft_on(make(), tmp_path)
    assert theirs.peft_config["default"].peft_type == (kind or "SHIRA")
    torch.testing.assert_close(outputs(theirs), ours, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(outputs(intrinsic.load_peft(make(), tmp_path).eval()), ours, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(
    ("options", "kind", "match"),
    [
        ({"projection": intrinsic.Fastfood, "dim": 9}, None, "space=lora or ia3, or full with select, got space=Full"),
        ({"projection": intrinsic.Select, "dim": 9}, "LORA", "need peft_type=SHIRA for space=Full, got 'LORA'"),
        ({"projection": intrinsic.Select, "dim": 3000}, None, "holds weights of linear layers that share none, got"),
        (
            {**SHIRA, "space": WIDE, "dim": 1275},
            None,
            r"r \(in \+ out\) weights of each layer, here r=10, more than bert.* has: write",
        ),
        ({**XS, "projection": intrinsic.Dense, "dim": 5, "head": "project"}, "TINYLORA", "has v for R alone"),
        ({"space": intrinsic.LoRAXS(3, rank_pattern={"query": 2})}, "TINYLORA", "one rank, here 3, and .* has 2"),
        ({"space": intrinsic.LoRA(2)}, "TINYLORA", "need peft_type=LORA for space=LoRA, got 'TINYLORA'"),
    ],
)
def test_what_pefts_types_do_not_hold(options, kind, match, tmp_path):
    net = intrinsic.Subspace(bert(), **options)
    with pytest.raises(intrinsic.UserError, match=match):
        intrinsic.export_peft(net, tmp_path / "adapter", peft_type=kind)
    assert not (tmp_path / "adapter").exists()


@pytest.mark.parametrize(("make", "options"), [(bert, {"head": "train"}), (gpt2, {})])
def test_our_ia3_comes_back(make, options, tmp_path):
    net = intrinsic.Subspace(make(), space=intrinsic.IA3(), **options).eval()
    stir(net.parameters())
    intrinsic.export_peft(net, tmp_path)
    again = intrinsic.load_peft(make(), tmp_path).eval()
    torch.testing.assert_close(outputs(again), outputs(net), atol=0, rtol=0)


@pytest.mark.parametrize("family", ["mixtral", "qwen2_moe"])
@pytest.mark.parametrize("targets", [["experts.gate_up_proj", "mlp.experts.down_proj"], ["1.mlp.experts.down_proj"]])
def test_experts_of_pefts(family, targets, tmp_path):
    config = LoraConfig(r=2, lora_alpha=6, target_modules=["q_proj"], target_parameters=targets)
    theirs = get_peft_model(member(family), config).eval()
    stir([p for p in theirs.parameters() if p.requires_grad])
    theirs.save_pretrained(tmp_path)
    net = intrinsic.load_peft(member(family), tmp_path).eval()
    with torch.no_grad():
        expected = answer(theirs, family)
        assert not torch.allclose(expected, answer(member(family), family), atol=100 * TOLERANCE)
        torch.testing.assert_close(answer(net, family), expected, atol=1e-4, rtol=1e-4)  # sums in another order
    assert net.count()["trained"] == sum(p.numel() for p in theirs.parameters() if p.requires_grad)


def edited(folder, tensors=lambda tensors: None, **config):
    saved = load_file(folder / WEIGHTS)
    tensors(saved)
    save_file(saved, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(json.loads((folder / CONFIG).read_text()) | config))


def of(config, make=bert):
    return lambda folder: get_peft_model(make(), config).save_pretrained(folder)


SHIRA_OF_PEFT = ShiraConfig(r=2, target_modules=["query"])
TINY, UNI = TinyLoraConfig(target_modules=["query"]), UniLoraConfig(r=2, theta_d_length=50, target_modules=["query"])
PROMPT = {"task_type": "SEQ_CLS", "num_virtual_tokens": 3}


@pytest.mark.parametrize(
    ("write", "change", "make", "match"),
    [
        (of(PromptTuningConfig(**PROMPT)), {}, bert, "PROMPT_TUNING, whose prompt shares one softmax .* load it with"),
        (of(PrefixTuningConfig(**PROMPT)), {}, bert, "PREFIX_TUNING, whose prefix shares one softmax .* load it with"),
        (
            of(IA3Config(task_type="SEQ_CLS")),
            {"peft_type": "OFT"},
            bert,
            "=OFT, need IA3, LORA, SHIRA, TINYLORA, UNILORA, VERA: load",
        ),
        (of(IA3Config(task_type="SEQ_CLS")), {}, gpt2, "modules_to_save|scales bert.encoder.layer.0.*no such linear"),
        (of(IA3Config(task_type="SEQ_CLS")), {}, lambda: bert(hidden_size=8), "holds .* and the model needs"),
        (
            of(FourierFTConfig(n_frequency=9, target_modules=["query"])),
            {},
            bert,
            "FOURIERFT, whose waves are another",
        ),
        (of(SHIRA_OF_PEFT), {}, gpt2, "chooses weights of bert.*needs each in a linear layer that shares none"),
        (of(SHIRA_OF_PEFT), {}, lambda: bert(hidden_size=8), "names places of bert.* that it does not have or names"),
        (of(SHIRA_OF_PEFT), {"tensors": lambda t: t.pop(next(k for k in t if "_ind" in k))}, bert, "no row and column"),
        (
            of(TINY),
            {"tensors": lambda t: t.pop(next(k for k in t if "_B" in k))},
            bert,
            "no numbers of TinyLoRA",
        ),
        (of(TINY), {"bias": "all"}, bert, "bias='all', which TINYLORA here does not support"),
        (of(UNI), {"theta_d_length": 40}, bert, "holds no theta of 40 numbers"),
        (of(UNI), {"layers_to_transform": [0]}, bert, "has layers_to_transform and no indices: write it with"),
        (of(VeraConfig(**VERA)), {}, gpt2, "updates bert.encoder.* no such layer that VeRA fits"),
        (of(VeraConfig(**VERA)), {}, lambda: bert(hidden_size=32), r"holds \(16,\) and \(3,\) for bert"),
        (of(VeraConfig(**VERA)), {"bias": "all"}, bert, "bias='all', which VERA here does not support"),
        (of(VeraConfig(**VERA)), {"tensors": lambda t: t.pop(next(k for k in t if "_d" in k))}, bert, "no such layer"),
        (
            of(LoraConfig(target_modules=[], target_parameters=["experts.down_proj"]), lambda: member("mixtral")),
            {"target_parameters": ["experts.down_proj", "experts.gate_up_proj"]},
            lambda: member("mixtral"),
            "has 1 updates of model.layers.0.mlp.experts, and target_parameters that name 2",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_refusals(write, change, make, match, tmp_path):
    write(tmp_path)
    edited(tmp_path, **change)
    model = make()
    kinds = [type(module) for module in model.modules()]
    with pytest.raises(intrinsic.UserError, match=match) as caught:
        intrinsic.load_peft(model, tmp_path)
    assert "\n" not in str(caught.value)
    assert [type(module) for module in model.modules()] == kinds


def test_options_of_ia3():
    with pytest.raises(intrinsic.UserError, match="needs both outputs and inputs, or neither"):
        intrinsic.IA3(outputs=["query"])
    for outputs_, match in (([], "scales no layer"), (["query"], "query twice: name it in outputs or in inputs")):
        with pytest.raises(intrinsic.UserError, match=match):
            intrinsic.IA3(outputs=outputs_, inputs=outputs_).wire(bert(), seed=0)
