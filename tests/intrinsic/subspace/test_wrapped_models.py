"""Random models and spaces: a wrapped model starts as the plain one, merges to what it computes, and comes back."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers.pytorch_utils import Conv1D

import intrinsic

WIDTH = 6
BLOCKS = {
    "linear": lambda: nn.Linear(WIDTH, WIDTH),
    "without bias": lambda: nn.Linear(WIDTH, WIDTH, bias=False),
    "Conv1D": lambda: Conv1D(WIDTH, WIDTH),
    "nested": lambda: nn.Sequential(nn.Linear(WIDTH, 9), nn.Tanh(), nn.Linear(9, WIDTH)),
    "convolution": lambda: nn.Conv2d(1, 1, 3, padding=1),
    "attention": lambda: nn.MultiheadAttention(WIDTH, 2, batch_first=True),
    "encoder": lambda: nn.TransformerEncoderLayer(WIDTH, 2, 8, dropout=0.0, batch_first=True),
    "again": None,  # the block before it, a second time
}
HOOKS = {
    "before": lambda module: module.register_forward_pre_hook(
        lambda _, args: (1.5 * args[0] if args[0].is_floating_point() else (args[0] + 1) % 7, *args[1:])
    ),
    "after": lambda module: module.register_forward_hook(
        lambda _, args, out: (out[0] - 0.25, *out[1:]) if isinstance(out, tuple) else out - 0.25
    ),
    "named": lambda module: module.register_forward_hook(
        lambda module, args, kwargs, out: out if isinstance(out, tuple) else out * module.weight.abs().max(),
        with_kwargs=True,
    ),
    "none": lambda module: None,
}
SPACES = {
    "lora": lambda: intrinsic.LoRA(1, alpha=2.0, targets=r"(?!head).*", rank_pattern=None),
    "rslora, linear": lambda: intrinsic.LoRA(1, alpha=2.0, rslora=True, targets="all-linear"),
    "query, value": lambda: intrinsic.LoRA(1, alpha=2.0, targets=r"embed|.*in_proj\.[qv]"),
    "adapter": lambda: intrinsic.Adapter(2, targets=r"(?!.*out_proj).*"),
    "both": lambda: intrinsic.Union(
        [intrinsic.LoRA(1, targets=r"embed|.*\.blocks.*"), intrinsic.Adapter(2, targets=["head"]), intrinsic.BitFit()]
    ),
}
TOLERANCES = {
    torch.float64: 1e-9,
    torch.float32: 1e-4,
    torch.bfloat16: 0.1,
}  # of the norm; a block rounds several times


class Net(nn.Module):
    """Tokens (n, length) -> (n, 3), through blocks, which may be one module in several places."""

    def __init__(self, blocks, padding, dtype, table):
        super().__init__()
        self.embed = nn.Embedding(7, WIDTH, padding_idx=padding).to(table)
        made = []
        for name in blocks:
            made.append(made[-1] if name == "again" and made else BLOCKS[name if name != "again" else "linear"]())
        self.blocks, self.head = nn.ModuleList(made).to(dtype), nn.Linear(WIDTH, 3).to(dtype)

    def forward(self, tokens):
        x = self.embed(tokens).to(self.head.weight.dtype)
        for block in self.blocks:
            if hasattr(block, "in_proj_weight"):
                x = x + block(x, x, x, need_weights=False)[0]
            else:
                x = x + (block(x.unsqueeze(1)).squeeze(1) if hasattr(block, "kernel_size") else block(x))
        return self.head(x.mean(1))


@st.composite
def models(draw):
    """A model, and what to know of it."""
    torch.manual_seed(draw(st.integers(0, 9)))
    dtype = draw(st.sampled_from(list(TOLERANCES)))
    table = draw(st.sampled_from([dtype, torch.float32]))
    blocks = draw(st.lists(st.sampled_from(list(BLOCKS)), min_size=1, max_size=4))
    model = Net(blocks, draw(st.sampled_from([None, 2])), dtype, table).train(draw(st.booleans()))
    layers = [m for m in model.modules() if hasattr(m, "weight") or hasattr(m, "in_proj_weight")]
    for layer in layers:
        HOOKS[draw(st.sampled_from(list(HOOKS)))](layer)
        layer.train(draw(st.booleans()))
    return model, max(TOLERANCES[dtype], TOLERANCES[table])  # a table of float32 is merged in float32


def known(model):
    """Objects, modes and hooks of a model."""
    kinds = ("_forward_hooks", "_forward_hooks_with_kwargs", "_forward_pre_hooks", "_state_dict_hooks")
    return [
        (id(module), module.training, [dict(getattr(module, kind)) for kind in kinds], sorted(vars(module)))
        for module in model.modules()
    ]


def results(model):
    """What a model gives, as it is and under autocast."""
    outs = []
    with torch.no_grad():
        for half in (False, True):
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                try:
                    outs.append(model(TOKENS))
                except RuntimeError as error:  # what the plain model refuses, such as float64 under autocast
                    outs.append(str(error)[:30])
    return outs


TOKENS = torch.arange(10).view(2, 5) % 7


def wire(model, space):
    """The net, or none where the model has no layer that the space targets."""
    try:
        return intrinsic.Subspace(model, space=space)
    except intrinsic.UserError as error:
        assert "matches no" in str(error)  # noqa: PT017
        return None


@given(models(), st.sampled_from(list(SPACES)))
def test_wrapped_models(drawn, name):
    model, tolerance = drawn
    model.requires_grad_(False)  # attention rounds otherwise if its weights have gradients
    before, plain, space = known(model), results(model), SPACES[name]()
    net = wire(model, space)
    if net is not None:
        for start, own in zip(results(model), plain, strict=True):
            assert type(start) is type(own)
            if isinstance(own, torch.Tensor):
                assert start.dtype == own.dtype
                assert torch.equal(start, own)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter += 0.2 * torch.randn(parameter.shape, dtype=torch.float64).to(parameter.dtype)
            moved, merged = model(TOKENS), net.merge()(TOKENS)
        assert moved.dtype == merged.dtype
        assert (moved - merged).norm() <= tolerance * moved.norm()
        assert not torch.equal(moved, plain[0])
        space.unwire(model)
    assert known(model) == before
    if name != "both":  # BitFit has moved the layers' own biases
        for again, own in zip(results(model), plain, strict=True):
            assert torch.equal(again, own) if isinstance(own, torch.Tensor) else again == own
