"""PEFT's VeRA, (IA)^3 and `target_parameters`, read: the same outputs, and what is refused."""

import json

import pytest
import torch
from peft import IA3Config, LoraConfig, PrefixTuningConfig, PromptTuningConfig, VeraConfig, get_peft_model
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
    if isinstance(config, IA3Config):
        assert net.count()["trained"] == sum(p.numel() for p in theirs.parameters() if p.requires_grad)


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


PROMPT = {"task_type": "SEQ_CLS", "num_virtual_tokens": 3}


@pytest.mark.parametrize(
    ("write", "change", "make", "match"),
    [
        (of(PromptTuningConfig(**PROMPT)), {}, bert, "PROMPT_TUNING, whose prompt shares one softmax .* load it with"),
        (of(PrefixTuningConfig(**PROMPT)), {}, bert, "PREFIX_TUNING, whose prefix shares one softmax .* load it with"),
        (of(IA3Config(task_type="SEQ_CLS")), {"peft_type": "OFT"}, bert, "peft_type=OFT, need LORA, VERA, IA3: load"),
        (of(IA3Config(task_type="SEQ_CLS")), {}, gpt2, "modules_to_save|scales bert.encoder.layer.0.*no such linear"),
        (of(IA3Config(task_type="SEQ_CLS")), {}, lambda: bert(hidden_size=8), "holds .* and the model needs"),
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
