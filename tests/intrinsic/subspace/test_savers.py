"""Every saver that works with a plain module works with a net and with its model, whatever its modules keep."""

import copy
import io
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import nn
from torch.distributed.checkpoint.state_dict import get_model_state_dict, set_model_state_dict
from torch.nn.utils import prune, spectral_norm, weight_norm

import intrinsic
from tests.support.tied import Tied
from tests.support.trainer import trained_by_trainer

pytestmark = pytest.mark.slow


def plain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(60, 160), nn.ReLU(), nn.Linear(160, 3))


def tied():
    torch.manual_seed(0)
    return Tied()


MODELS = {plain: torch.linspace(-1, 1, 120).view(2, 60), tied: torch.arange(5)}
SPACES = {"all": {}, "lora": {"space": intrinsic.LoRA(2, targets=".*", alpha=3.0)}}


def subspace(make, space="all"):
    return intrinsic.Subspace(make(), projection=intrinsic.Dense, dim=10, **SPACES[space])


def torch_save(net, other, folder):
    torch.save(net.state_dict(), folder / "net.pt")
    other.load_state_dict(torch.load(folder / "net.pt", weights_only=True))


def tensors(net, other, folder):
    save_file(net.state_dict(), folder / "net.safetensors")
    other.load_state_dict(load_file(folder / "net.safetensors"))


def safetensors_model(net, other, folder):
    save_model(net, str(folder / "net.safetensors"))
    load_model(other, str(folder / "net.safetensors"))


def distributed(net, other, folder):
    dcp.save({"net": net.state_dict()}, checkpoint_id=folder)
    state = {"net": other.state_dict()}
    dcp.load(state, checkpoint_id=folder)
    other.load_state_dict(state["net"])


def distributed_by_helpers(net, other, folder):
    set_model_state_dict(other, get_model_state_dict(net))


def accelerate(net, other, folder):
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    accelerator.prepare(net, torch.optim.Adam(net.parameters(), lr=0.1))
    accelerator.save_state(str(folder))
    accelerator.free_memory()
    accelerator.prepare(other, torch.optim.Adam(other.parameters(), lr=0.1))
    accelerator.load_state(str(folder))


def whole(net, other, folder):
    """A pickle of one's own net, which keeps what it moves with: loaded by hand."""
    torch.save(net, folder / "net.pt")
    loaded = torch.load(folder / "net.pt", weights_only=False)
    other.load_state_dict(copy.deepcopy(loaded).state_dict())


SAVERS = [torch_save, tensors, safetensors_model, distributed, distributed_by_helpers, accelerate, whole]


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("saver", SAVERS, ids=lambda saver: saver.__name__)
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_a_saver(saver, make, space, tmp_path):
    net, other, x = subspace(make, space), subspace(make, space), MODELS[make]
    net(x).sum().backward()  # what a step leaves behind is there, too
    with torch.no_grad():
        net.z.copy_(torch.linspace(-1, 1, 10))
        for module in (net, other):
            assert torch.equal(module(x), make()(x)) == (module is not net)
    saver(net, other, Path(tmp_path))
    with torch.no_grad():
        assert torch.equal(other(x), net(x))


def test_a_layer_is_saved_as_its_own_bytes(tmp_path):
    net = subspace(plain)
    net(MODELS[plain]).sum().backward()
    sizes = []
    for layer in (net.model[2], plain()[2]):
        torch.save(layer.state_dict(), file := io.BytesIO())
        sizes.append(len(file.getvalue()))
    assert sizes[0] == sizes[1]
    save_model(net.model, str(tmp_path / "model.safetensors"))


def language_model():
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "vocab_size": 30, "n_positions": 16}
    return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=1, eos_token_id=1))


def test_checkpoints_of_trainer_hold_tied_weights(tmp_path):
    net, rest = (intrinsic.Subspace(language_model(), projection=intrinsic.Fastfood, dim=20) for _ in range(2))
    assert net.model.lm_head.weight is net.model.transformer.wte.weight
    data = [{"input_ids": torch.arange(6) + row, "labels": torch.arange(6) + row} for row in range(8)]
    trained_by_trainer(net, tmp_path, data, max_steps=2, save_strategy="steps", save_steps=2)
    rest.load_state_dict(load_file(tmp_path / "checkpoint-2" / "model.safetensors"))
    tokens = torch.arange(6)[None]
    assert net.z.abs().min() > 0
    assert torch.equal(rest.eval()(tokens).logits, net.eval()(tokens).logits)
    net.model.save_pretrained(tmp_path / "base")
    again = type(net.model).from_pretrained(tmp_path / "base")
    assert torch.equal(again(tokens).logits, language_model().eval()(tokens).logits)


KEEPING = {
    "weight_norm": weight_norm,
    "spectral_norm": spectral_norm,
    "prune": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
    "a result in a list": lambda layer: layer,
}


class Keeping(nn.Module):
    """A module that keeps results of autograd, in an attribute, a list and a mapping."""

    def __init__(self, wrap):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(6, 8), wrap(nn.Linear(8, 3))
        self.kept, self.named = [], {}

    def forward(self, x):
        h = self.last(self.first(x))
        self.kept, self.named, self.attribute = [h], {"h": h}, h
        return h


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
@pytest.mark.parametrize("kind", KEEPING)
@pytest.mark.parametrize(
    "options", [{"projection": intrinsic.Dense, "dim": 9}, {"space": intrinsic.LoRA(2, targets=["first"])}]
)
def test_what_modules_keep_stops_no_merge_and_no_save(kind, options, tmp_path):
    net, x = intrinsic.Subspace(Keeping(KEEPING[kind]), **options), torch.linspace(-1, 1, 12).view(2, 6)
    net(x).sum().backward()
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    net.eval()
    net(x).sum().backward()
    plain = net.merge()
    torch.testing.assert_close(plain(x), net(x))
    assert plain.kept[0] is not net.model.kept[0]
    intrinsic.save(net, tmp_path / "net.safetensors")
    model = Keeping(KEEPING[kind])
    model.load_state_dict(Keeping(KEEPING[kind]).state_dict())
    again = intrinsic.load(model.eval(), tmp_path / "net.safetensors")
    torch.testing.assert_close(again(x), net(x))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
def test_sparse_gradients_are_made_dense(stream, mixed):
    """That of nn.Embedding(sparse=True), which no projection could take."""

    def gradient(sparse):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Embedding(12, 6, sparse=sparse), nn.Linear(6, 2))
        if mixed:  # several dtypes: by other steps
            model.unused = nn.Linear(2, 2, dtype=torch.float64)
            model.forward = lambda x: model[1](model[0](x))
        net = intrinsic.Subspace(model, projection=intrinsic.Dense, dim=10, stream=stream)
        net(torch.tensor([1, 2, 2, 5])).square().sum().backward()
        return net.z.grad

    assert torch.equal(gradient(True), gradient(False))
