"""LoRA in PEFT's files: PEFT on ours gives our outputs, and we on PEFT's give PEFT's."""

import json
import warnings

import pytest
import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from torch import nn

import intrinsic
from intrinsic.layers.low_rank import LowRank
from tests.support.peft_models import CONFIG, attention, bert, gpt2, stir

pytestmark = pytest.mark.slow

TOLERANCE = 1e-5  # of logits of order 1 in float32


def outputs(model):
    tokens = torch.arange(3 * 8).view(3, 8) % 40  # the padding token of BERT among them
    with torch.no_grad():
        found = model(tokens)
    return found if isinstance(found, torch.Tensor) else found.logits


def peft_on(model, folder):
    """PEFT's model from a folder, without any of its warnings about keys."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = PeftModel.from_pretrained(model, folder).eval()
    assert not [w for w in caught if "keys" in str(w.message)]
    return loaded


PATTERNS = {"rank_pattern": {r"0.*query": 2, "value": 5}, "alpha_pattern": {"query": 3.0, r"layer\.1.*value": 7}}
OURS = {
    "linear": (bert, {"targets": ["query", "value"]}, {}),
    "linear, patterns": (bert, {"targets": ["query", "value"], **PATTERNS}, {}),
    "rslora": (bert, {"targets": "all-linear", "rslora": True, **PATTERNS}, {}),
    "embedding with a padding token": (bert, {"targets": ["word_embeddings", "query"]}, {}),
    "a trained head": (bert, {"targets": ["query"], "dropout": 0.1}, {"head": "train"}),
    "a projected head": (bert, {"targets": ["query"]}, {"head": "project", "projection": intrinsic.OneHot, "dim": 99}),
    "from a projection": (bert, {"targets": ["query"]}, {"projection": intrinsic.Fastfood, "dim": 30}),
    "Conv1D": (gpt2, {"targets": ["c_attn", "c_proj"], "rank_pattern": {"c_proj": 4}}, {}),
    "Conv1D and embedding": (gpt2, {"targets": "all-linear"}, {}),
    "embedding": (gpt2, {"targets": ["wte", "wpe", "c_fc"]}, {}),
    "parts": (gpt2, {"targets": ["c_attn.q", "c_attn.v", "c_proj"], "rank_pattern": {"v": 2}}, {}),
    "parts, rslora": (gpt2, {"targets": ["q", "k", "v"], "alpha_pattern": {"v": 2}, "rslora": True}, {}),
    "attention": (attention, {"targets": ["in_proj"], "rank_pattern": {"2.*in_proj": 5}}, {}),
    "XS": (bert, {"targets": ["query", "value"], "kind": intrinsic.LoRAXS, "rank_pattern": {"value": 2}}, {}),
    "XS of Conv1D": (gpt2, {"targets": ["c_attn"], "kind": intrinsic.LoRAXS, "singular": "input"}, {}),
    "VeRA": (bert, {"targets": ["query", "value"], "kind": intrinsic.VeRA, "rank_pattern": {"value": 2}}, {}),
    "parts of attention": (attention, {"targets": ["in_proj.q", "in_proj.v", "linear"]}, {}),
}


@pytest.mark.parametrize("case", OURS)
def test_peft_on_ours(case, tmp_path):
    make, space, options = OURS[case]
    kind = space.get("kind", intrinsic.LoRA)
    space = kind(3, **{key: value for key, value in space.items() if key != "kind"})
    net = intrinsic.Subspace(make(), space=space, **options).eval()
    stir(net.parameters())
    intrinsic.export_peft(net, tmp_path / "adapter")
    ours = outputs(net)
    assert not torch.allclose(ours, outputs(make()), atol=100 * TOLERANCE)
    theirs = peft_on(make(), tmp_path / "adapter")
    torch.testing.assert_close(outputs(theirs), ours, atol=TOLERANCE, rtol=0)
    again = intrinsic.load_peft(make(), tmp_path / "adapter").eval()  # and what we wrote, we read
    torch.testing.assert_close(outputs(again), ours, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(("make", "options"), [(bert, {"head": "train"}), (gpt2, {})])
def test_peft_on_our_ia3(make, options, tmp_path):
    net = intrinsic.Subspace(make(), space=intrinsic.IA3(), **options).eval()
    stir(net.parameters())
    intrinsic.export_peft(net, tmp_path / "adapter")
    ours = outputs(net)
    assert not torch.allclose(ours, outputs(make()), atol=100 * TOLERANCE)
    torch.testing.assert_close(outputs(peft_on(make(), tmp_path / "adapter")), ours, atol=TOLERANCE, rtol=0)


THEIRS = {
    "linear": (bert, {"target_modules": ["query", "value"], "r": 3}),
    "all-linear": (bert, {"target_modules": "all-linear", "task_type": TaskType.SEQ_CLS}),
    "patterns": (bert, {"target_modules": ["query", "value"], "lora_alpha": 5, **PATTERNS, "lora_dropout": 0.2}),
    "unused patterns": (bert, {"target_modules": ["query"], "rank_pattern": {"nothing": 2}}),
    "rslora": (bert, {"target_modules": r".*\.query", "use_rslora": True, **PATTERNS}),
    "embedding with a padding token": (bert, {"target_modules": ["word_embeddings", "query"], "r": 4}),
    "a trained head": (bert, {"target_modules": ["query"], "task_type": TaskType.SEQ_CLS}),
    "modules_to_save": (bert, {"target_modules": ["query"], "modules_to_save": ["classifier"]}),
    "some layers": (bert, {"target_modules": ["query"], "layers_to_transform": [1]}),
    "Conv1D": (gpt2, {"target_modules": ["c_attn", "mlp.c_proj"], "fan_in_fan_out": True}),
    "Conv1D, all-linear": (gpt2, {"target_modules": "all-linear", "rank_pattern": {"c_attn": 2}}),
    "embedding": (gpt2, {"target_modules": ["wte", "wpe", "c_fc"], "use_rslora": True}),
}


@pytest.mark.parametrize("case", THEIRS)
@pytest.mark.filterwarnings("ignore")  # PEFT's advice about Conv1D and tied embeddings
def test_ours_on_pefts(case, tmp_path):
    make, options = THEIRS[case]
    theirs = get_peft_model(make(), LoraConfig(**options, init_lora_weights=False)).eval()
    stir([p for p in theirs.parameters() if p.requires_grad])
    theirs.save_pretrained(tmp_path)
    net = intrinsic.load_peft(make(), tmp_path).eval()
    assert not torch.allclose(outputs(theirs), outputs(make()), atol=100 * TOLERANCE)
    torch.testing.assert_close(outputs(net), outputs(theirs), atol=TOLERANCE, rtol=0)
    if "wte" not in options["target_modules"]:  # the head shares its weight, and would change with it
        torch.testing.assert_close(outputs(net.merge().eval()), outputs(theirs), atol=TOLERANCE, rtol=0)
    count = sum(p.numel() for p in theirs.parameters() if p.requires_grad)
    assert net.count()["trained"] == count
    assert net.space.dropout == options.get("lora_dropout", 0.0)
    intrinsic.save(net, tmp_path / "ours.safetensors")
    again = intrinsic.load(make(), tmp_path / "ours.safetensors").eval()
    torch.testing.assert_close(outputs(again), outputs(net), atol=0, rtol=0)
    intrinsic.export_peft(net, tmp_path / "back")
    torch.testing.assert_close(outputs(peft_on(make(), tmp_path / "back")), outputs(theirs), atol=TOLERANCE, rtol=0)


def test_what_is_loaded_can_be_trained(tmp_path):
    config = LoraConfig(target_modules=["query"], task_type=TaskType.SEQ_CLS, init_lora_weights=False)
    get_peft_model(bert(), config).save_pretrained(tmp_path)
    net = intrinsic.load_peft(bert(), tmp_path)
    before = [parameter.clone() for parameter in net.parameters()]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(torch.arange(8)[None]).logits.square().sum().backward()
    optimizer.step()
    assert all(not torch.equal(p, q) for p, q in zip(before, net.parameters(), strict=True))


def test_all_linear_means_what_it_means_in_peft():
    for make in (bert, gpt2):
        theirs = get_peft_model(make(), LoraConfig(target_modules="all-linear", task_type=TaskType.SEQ_CLS))
        net = intrinsic.Subspace(make(), space=intrinsic.LoRA(8))
        ours = {name for name, module in net.model.named_modules() if isinstance(module, LowRank)}
        named = dict(theirs.base_model.model.named_modules())
        assert ours == {name for name, module in named.items() if hasattr(module, "lora_A")}


def test_a_name_that_ends_another_name(tmp_path):
    def make():
        torch.manual_seed(0)
        return nn.ModuleDict(
            {"q": nn.Linear(4, 4), "a": nn.ModuleDict({"q": nn.Linear(4, 4)}), "head": nn.Linear(4, 2)}
        )

    net = intrinsic.Subspace(make(), space=intrinsic.LoRA(2, targets="q"))
    intrinsic.export_peft(net, tmp_path)
    assert json.loads((tmp_path / CONFIG).read_text())["target_modules"] == "q"
    assert list(intrinsic.load_peft(make(), tmp_path).coordinate_names) == ["q.lora_A", "q.lora_B"]
    assert not hasattr(peft_on(make(), tmp_path).base_model.model["a"]["q"], "lora_A")
