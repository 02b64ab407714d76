"""What wraps a layer takes over its mode, hooks, dtype, attributes and forward, and gives them back."""

import copy
import pickle

import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module
from torch import nn
from torch.nn.utils import prune

import intrinsic
from intrinsic.errors import UserError
from intrinsic.layers.adapter_layer import AdapterLayer
from intrinsic.layers.low_rank import LowRank
from tests.support.tiny_transformers import tiny
from tests.support.wrapped import SPACES, X, every_space, network, stir


def test_an_adapter_read_around_a_model_that_evaluates_evaluates(tmp_path):
    space = intrinsic.LoRA(2, dropout=0.5)
    intrinsic.export_peft(stir(intrinsic.Subspace(network(), space=space)), tmp_path)
    net = intrinsic.load_peft(network().eval(), tmp_path)
    assert not any(module.training for module in net.model.modules())
    assert torch.equal(net.model(X), net.model(X))
    assert all(module.training for module in intrinsic.load_peft(network(), tmp_path).model.modules())


@every_space
@pytest.mark.parametrize("mode", [True, False])
def test_modes_stay_as_they_were(space, mode):
    model = network()
    model[1].train(mode)
    modes = {name: module.training for name, module in model.named_modules()}
    space = SPACES[space]()
    space.wire(model, seed=0)
    assert {module.training for module in model[1].modules()} == {mode}
    space.unwire(model)
    assert {name: module.training for name, module in model.named_modules()} == modes


def test_modes_of_parts_and_prefixes():
    model = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16), nn.Linear(8, 3)).eval()
    intrinsic.LoRA(2, targets=["in_proj.q", "in_proj.v"]).wire(model, seed=0)
    assert not any(module.training for module in model.modules())
    model = tiny("bert").eval()
    intrinsic.Prefix(3, mlp=4).wire(model, seed=0)
    assert not any(module.training for module in model.modules())


@every_space
def test_hooks_see_the_whole_layer_and_come_back(space):
    """A hook that scales the layer's output, one before it, one on its gradient: as of the layer without the space."""
    model, seen = network(), []
    layer = model[1]
    layer.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    layer.register_forward_hook(lambda module, args, kwargs, out: out * 2, with_kwargs=True)
    layer.register_full_backward_hook(lambda module, grad_in, grad_out: seen.append(grad_out[0].clone()))
    removed = layer.register_forward_hook(lambda module, args, out: out * 5)
    net = stir(intrinsic.Subspace(model, space=SPACES[space]()))
    removed.remove()  # the handle of before
    net.model[1].register_forward_hook(lambda module, args, out: out - 3)  # one that comes later
    out = net(X)
    out.sum().backward()
    wrapper = net.model[1]
    inner = wrapper.base if isinstance(wrapper, AdapterLayer) else wrapper
    hidden = network()[0](X) + 1
    expected = hidden @ inner.weight.T + inner.bias
    if isinstance(wrapper, AdapterLayer):
        f = nn.functional.gelu(expected @ wrapper.adapter_down.T + wrapper.adapter_down_bias)
        expected = expected + f @ wrapper.adapter_up.T + wrapper.adapter_up_bias
    torch.testing.assert_close(out, network()[3](torch.tanh(expected * 2 - 3)))
    torch.testing.assert_close(net.merge()(X), out)
    assert [tuple(grad.shape) for grad in seen] == [(3, 8)]
    net.space.unwire(model)
    assert model[1] is layer
    assert (len(layer._forward_hooks), len(layer._forward_pre_hooks), len(layer._backward_hooks)) == (2, 1, 1)
    torch.testing.assert_close(model(X), network()[3](torch.tanh(2 * layer.forward(hidden) - 3)))


def test_hooks_of_the_state_dict_stay_with_the_layer():
    model, seen = network(), []
    model[1].register_state_dict_post_hook(lambda module, state, prefix, metadata: seen.append(prefix))
    space = intrinsic.LoRA(2, targets=["1"])
    space.wire(model, seed=0)
    model[1].register_load_state_dict_pre_hook(lambda module, state, prefix, *rest: seen.append((module, prefix)))
    state = model.state_dict()
    space.unwire(model)
    model.load_state_dict({name.replace(".base", ""): t for name, t in state.items() if "lora" not in name})
    assert seen == ["1.base.", (model[1], "1.")]


COMPUTED = {
    "weight_norm": torch.nn.utils.weight_norm,
    "spectral_norm": torch.nn.utils.spectral_norm,
    "prune": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
    "parametrize": torch.nn.utils.parametrizations.orthogonal,
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("how", COMPUTED)
def test_a_weight_that_is_computed(how):
    """LoRA has no weight to add to; an adapter behind the layer needs none, and leaves it to compute."""
    model = network()
    COMPUTED[how](model[1])
    with pytest.raises(UserError, match=r"^1: LoRA cannot update a .* with a weight that is computed .*: leave it out"):
        intrinsic.Subspace(model, space=intrinsic.LoRA(2))
    model.eval()
    before = model(X)
    net = intrinsic.Subspace(model, space=intrinsic.Adapter(2, targets=["1"]))
    assert torch.equal(net.eval()(X), before)


class Standardised(nn.Conv2d):
    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight - weight.mean(), bias)


def test_forwards_that_lora_would_get_wrong():
    model = network()
    model[1].forward = lambda x: 2 * nn.Linear.forward(model[1], x)
    with pytest.raises(UserError, match="1: LoRA cannot update a Linear with a forward of its own"):
        intrinsic.Subspace(model, space=intrinsic.LoRA(2))
    with pytest.raises(UserError, match="0: LoRA cannot update a Standardised with a forward of its own"):
        intrinsic.LoRA(2, targets=["0"]).wire(nn.Sequential(Standardised(2, 3, 1)), seed=0)


class Double(ModelHook):
    def post_forward(self, module, output):
        return 2 * output


@every_space
def test_hooks_of_accelerate(space):
    """Put on wrapper and layer after wiring they work; they are refused where they would be lost."""
    space = SPACES[space]()
    net = stir(intrinsic.Subspace(network(), space=space))
    before = net.model[1](net.model[0](X))
    for module in list(net.model[1].modules()):
        add_hook_to_module(module, ModelHook())
    add_hook_to_module(net.model[1], Double())
    torch.testing.assert_close(net.model[1](net.model[0](X)), 2 * before)
    with pytest.raises(
        UserError, match="given a forward of its own after it was wrapped, which would be lost: remove it"
    ):
        space.unwire(net.model)
    assert isinstance(net.model[1], LowRank | AdapterLayer)
    remove_hook_from_module(net.model[1], recurse=True)
    space.unwire(net.model)
    assert type(net.model[1]) is nn.Linear


@every_space
def test_attributes_are_the_layers(space):
    model = network()
    model[1].tag = "before"
    space = SPACES[space]()
    space.wire(model, seed=0)
    layer = model[1]
    layer.tag, layer.later = layer.tag + " and after", 3
    layer.bias = None
    layer.register_buffer("count", torch.zeros(()))
    assert (layer.in_features, layer.bias, layer.weight.dtype, layer.later) == (8, None, torch.float32, 3)
    space.unwire(model)
    assert (model[1].tag, model[1].later, model[1].bias) == ("before and after", 3, None)
    assert "1.count" in model.state_dict()


@pytest.mark.parametrize("value", [torch.zeros(3, 3), nn.Parameter(torch.zeros(3, 3))])
def test_the_weight_of_an_update_cannot_be_set(value):
    model = nn.Sequential(nn.Linear(3, 3), nn.MultiheadAttention(4, 2), nn.Linear(3, 2))
    intrinsic.LoRA(2, targets=["0", "in_proj"]).wire(model, seed=0)
    for layer, name in ((model[0], "weight"), (model[1], "in_proj_weight")):
        with pytest.raises(UserError, match=rf"is W \+ s B A: set W itself, `layer\.base\.{name}`"):
            setattr(layer, name, value)


@every_space
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])  # noqa: S301
def test_copies(space, copied):
    net = stir(intrinsic.Subspace(network(), space=SPACES[space]()))
    assert torch.equal(copied(net.model)(X), net.model(X))


def test_an_int8_model_is_pickled():
    model = intrinsic.quantize(network())
    assert torch.equal(pickle.loads(pickle.dumps(model))(X), model(X))  # noqa: S301


class Kept(nn.Module):
    """A model that calls its layers by other names than their own."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(6, 6) for _ in range(4))
        self.in_list, self.in_dict, self.in_tuple = [self.a], {"b": self.b}, (self.c,)
        self.__dict__["itself"] = self.d

    def forward(self, x):
        return self.itself(self.in_tuple[0](self.in_dict["b"](self.in_list[0](x))))


def test_layers_that_are_kept_in_lists():
    model = Kept()
    kept = [model.in_list[0], model.in_dict["b"], model.in_tuple[0], model.itself]
    net = stir(intrinsic.Subspace(model, space=intrinsic.LoRA(2, targets=["a", "b", "c", "d"])))
    out = net(X)
    out.sum().backward()
    assert all(parameter.grad.any() for parameter in net.parameters())
    torch.testing.assert_close(net.merge()(X), out)
    net.space.unwire(model)
    assert kept == [model.in_list[0], model.in_dict["b"], model.in_tuple[0], model.itself]  # by identity
