"""LoRA in PEFT's files: PEFT on ours gives our outputs, and we on PEFT's give PEFT's."""

import copy
import json
import re
import warnings

import pytest
import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel

import intrinsic
from intrinsic.layers.low_rank import LowRank

TOLERANCE = 1e-5  # of logits of order 1 in float32
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def bert(seed=0, **changes):
    torch.manual_seed(seed)
    options = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "initializer_range": 0.2,
    }
    config = BertConfig(**{**options, "vocab_size": 40, "max_position_embeddings": 16, "num_labels": 3, **changes})
    return BertForSequenceClassification(config).eval()


def gpt2(seed=0):
    torch.manual_seed(seed)
    options = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 16, "initializer_range": 0.2}
    return GPT2LMHeadModel(GPT2Config(**options, vocab_size=40, eos_token_id=0, bos_token_id=0)).eval()


class Block(nn.Module):
    """Attention that is called: nn.TransformerEncoderLayer's fast path would read the weights past PEFT's update."""

    def __init__(self):
        super().__init__()
        self.self_attn, self.linear = nn.MultiheadAttention(16, 2, batch_first=True), nn.Linear(16, 16)

    def forward(self, x):
        return x + self.linear(self.self_attn(x, x, x, need_weights=False)[0])


def attention(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Embedding(40, 16), Block(), Block(), nn.Linear(16, 3)).eval()


def outputs(model):
    tokens = torch.arange(3 * 8).view(3, 8) % 40  # the padding token of BERT among them
    with torch.no_grad():
        found = model(tokens)
    return found if isinstance(found, torch.Tensor) else found.logits


def stir(parameters, seed=1):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in parameters:
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)


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
    "parts of attention": (attention, {"targets": ["in_proj.q", "in_proj.v", "linear"]}, {}),
}


@pytest.mark.parametrize("case", OURS)
def test_peft_on_ours(case, tmp_path):
    make, space, options = OURS[case]
    net = intrinsic.Subspace(make(), space=intrinsic.LoRA(3, **space), **options).eval()
    stir(net.parameters())
    intrinsic.export_peft(net, tmp_path / "adapter")
    ours = outputs(net)
    assert not torch.allclose(ours, outputs(make()), atol=100 * TOLERANCE)
    theirs = peft_on(make(), tmp_path / "adapter")
    torch.testing.assert_close(outputs(theirs), ours, atol=TOLERANCE, rtol=0)
    again = intrinsic.load_peft(make(), tmp_path / "adapter").eval()  # and what we wrote, we read
    torch.testing.assert_close(outputs(again), ours, atol=TOLERANCE, rtol=0)


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
        (configured(peft_type="IA3"), bert, "peft_type=IA3, need LORA: load it with PEFT"),
        (configured(use_dora=True), bert, "needs use_dora=True, which LoRA here does not support"),
        (configured(bias="all"), bert, "needs bias='all', which LoRA here does not support"),
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


def shared():
    layer = nn.Linear(4, 4)
    return nn.ModuleDict({"a": layer, "b": layer, "head": nn.Linear(4, 2)})


@pytest.mark.parametrize(
    ("make", "options", "match"),
    [
        (
            bert,
            {"space": intrinsic.Full()},
            "PEFT's format holds space=lora, got space=Full: write it with intrinsic.s",
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
