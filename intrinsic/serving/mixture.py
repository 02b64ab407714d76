"""One forward pass for the rows of several LoRA tasks."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.layers.low_rank import LowRank
from intrinsic.layers.low_rank.conv2d import LowRankConv2d
from intrinsic.layers.low_rank.embedding import LowRankEmbedding
from intrinsic.layers.low_rank.linear import LowRankLinear
from intrinsic.serving.rows import Rows, UnclearRowsError
from intrinsic.surgery.added_module import beside
from intrinsic.surgery.head import find_head, under
from intrinsic.surgery.torch_internals import forward_hooks, own_buffers, own_modules, own_parameters
from intrinsic.surgery.tree import swap, twin
from intrinsic.surgery.wrapper import Wrapper

_rows: ContextVar[Rows] = ContextVar("rows")  # of the call under way: each thread has its own


class Mixture(nn.Module):
    """A base model in whose low-rank layers, and in whose head, each row has the weights of its own task.

    Linear layers compute W x + s_k B_k (A_k x) for row k with the factors gathered for it, as one batched product;
    other low-rank layers and heads compute the rows of each task together. Whatever else the model does, it does for
    the batch as a whole.

    Args:
        base: the plain model.
        trees: for each task the base with low-rank layers in it and a head of its own; see `fits`.
    """

    def __init__(self, base: nn.Module, trees: Mapping[Any, nn.Module]) -> None:
        super().__init__()
        self.model, self.tasks = twin(base).eval(), list(trees)
        head = _head(base)
        if head is not None and not all(
            _same(tree.get_submodule(head), base.get_submodule(head)) for tree in trees.values()
        ):
            heads = {name: tree.get_submodule(head) for name, tree in trees.items()}
            swap(self.model, self.model.get_submodule(head), ByRow(self.model.get_submodule(head), heads))
        layers: dict[str, dict[Any, LowRank]] = {}
        for task, tree in trees.items():
            for name, layer in _layers(tree).items():
                if head is None or not under(name, head):
                    layers.setdefault(name, {})[task] = layer
        for name, own in layers.items():
            plain = self.model.get_submodule(name)
            linear = all(type(layer) is LowRankLinear for layer in own.values())
            mixed = (
                MixedLinear(plain, own, list(trees)) if linear else ByRow(plain, {t: own.get(t, plain) for t in trees})
            )
            swap(self.model, plain, mixed)

    def map(self, rows: Rows, functions: Mapping[Any, Callable[..., Any]], args: Any, kwargs: Any) -> Any:
        """What the model returns for the tasks' rows, and the functions of other tasks for theirs: see `Rows.map`.

        Where rows may be on another axis within the model, as (positions, rows, ...), by each task's own function.
        """
        own = Rows([task for task in rows.tasks if task in self.tasks])
        mixed = Rows([self if task in self.tasks else task for task in rows.tasks])
        try:
            return mixed.map({**functions, self: partial(self._call_of, own)}, args, kwargs)
        except UnclearRowsError:
            return rows.map(functions, args, kwargs)

    def _call_of(self, rows: Rows, *args: Any, **kwargs: Any) -> Any:
        return self(rows, args, kwargs)

    def forward(self, rows: Rows, args: Any, kwargs: Any) -> Any:
        """What the model returns for a batch of its tasks.

        Raises:
            UnclearRowsError: see `map`.
        """
        token = _rows.set(rows)
        try:
            return self.model(*args, **kwargs)
        finally:
            _rows.reset(token)

    @staticmethod
    def fits(base: nn.Module, tree: nn.Module) -> bool:
        """Whether a tree is the base but for low-rank layers and its head."""
        if _layers(base):
            return False  # that stands on low-rank layers itself: a layer then has several updates
        head, layers = _head(base), _layers(tree)
        plain, own = (dict(model.named_modules(remove_duplicate=False)) for model in (base, tree))
        for name, module in own.items():
            if (head is not None and under(name, head)) or name in layers:
                continue
            wrapper = next((layer for layer in layers if under(name, layer)), None)
            if wrapper is not None and not under(name, wrapper + ".base"):
                continue  # a part of the layer's update
            other = plain.get(name if wrapper is None else wrapper + name.removeprefix(wrapper + ".base"))
            outer = own[wrapper] if wrapper is not None and name == wrapper + ".base" else module  # has its hooks
            if other is None or not _alike(module, other, outer):
                return False
            if isinstance(module, nn.MultiheadAttention) and any(layer.startswith(name + ".") for layer in layers):
                return False  # it reads its layers' weights and never calls them
        return True


class _Wrapper(Wrapper):
    """A layer in another's place that computes each row for its own task."""

    @property
    def weight(self) -> Tensor:
        """The shape and dtype of the layer's weight; no numbers, of which there are as many as tasks."""
        weight = self.base.weight
        assert isinstance(weight, Tensor)
        return weight.to("meta")


class ByRow(_Wrapper):
    """A module that computes the rows of each task by that task's own."""

    takes_hooks = False  # the tasks' modules have theirs
    own: Mapping[Any, nn.Module]

    def __init__(self, base: nn.Module, own: Mapping[Any, nn.Module]) -> None:
        super().__init__(base, own=dict(own))  # the tasks' own modules: no part of this one

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Whatever the modules take and return, with a row for each of the batch."""
        rows = _rows.get()
        rows.check_within((args, kwargs), self._features())
        return rows.map(self.own, args, kwargs)

    def _features(self) -> int:
        """How many of the last axes of what it takes can be no rows."""
        kind = next((layer for layer in self.own.values() if isinstance(layer, LowRank)), None)
        return {LowRankConv2d: 3, LowRankEmbedding: 0}.get(type(kind), 1)


class MixedLinear(_Wrapper):
    """y_k = W x_k + s_k B_k (A_k x_k) for row k: the factors of all tasks stacked, padded with zeros to one rank."""

    A: Tensor  # (tasks, rank, in)
    B: Tensor  # (tasks, out, rank)
    scaling: Tensor  # (tasks,)
    tasks: list[Any]

    def __init__(self, base: nn.Module, own: Mapping[Any, LowRank], tasks: list[Any]) -> None:
        super().__init__(base, tasks=tasks)
        first, rank = next(iter(own.values())), max(layer.lora_A.shape[0] for layer in own.values())
        A = first.lora_A.new_zeros(len(tasks), rank, first.lora_A.shape[1])
        B = first.lora_B.new_zeros(len(tasks), first.lora_B.shape[0], rank)
        scaling = first.lora_A.new_zeros(len(tasks))
        with torch.no_grad():
            for task, layer in own.items():
                k, r = tasks.index(task), layer.lora_A.shape[0]
                A[k, :r], B[k, :, :r], scaling[k] = layer.lora_A, layer.lora_B, layer.scaling
        for name, tensor in (("A", A), ("B", B), ("scaling", scaling)):
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(rows, ..., in) -> (rows, ..., out)."""
        rows = _rows.get()
        rows.check_within(x, 1)
        index = torch.tensor([self.tasks.index(task) for task in rows.tasks], device=x.device)
        inner = x.flatten(1, -2) if x.ndim > 2 else x.unsqueeze(1)  # (rows, positions, in)
        A, B = (beside(factors[index], x) for factors in (self.A, self.B))
        out, update = self.base(x), inner @ A.mT @ B.mT
        update = update * self.scaling[index, None, None].to(update.dtype)
        return out + update.view(*x.shape[:-1], -1).to(out.dtype)


def _head(model: nn.Module) -> str | None:
    try:
        return find_head(model)
    except UserError:
        return None


def _layers(tree: nn.Module) -> dict[str, LowRank]:
    return {name: module for name, module in tree.named_modules() if isinstance(module, LowRank)}


def _alike(module: nn.Module, other: nn.Module, hooked: nn.Module) -> bool:
    """Whether two modules are the same but for their children; `hooked` is what has the hooks of the first."""
    return (
        type(module) is type(other)
        and own_modules(module).keys() == own_modules(other).keys()
        and ("forward" in vars(module)) == ("forward" in vars(other))
        and list(map(len, forward_hooks(hooked))) == list(map(len, forward_hooks(other)))
        and own_parameters(module).keys() == own_parameters(other).keys()
        and all(p is own_parameters(other)[name] for name, p in own_parameters(module).items())
        and all(b is None or torch.equal(b, own_buffers(other)[name]) for name, b in own_buffers(module).items())  # type: ignore[arg-type]
    )


def _same(tree: nn.Module, other: nn.Module) -> bool:
    pairs = zip(tree.modules(), other.modules(), strict=False)
    return len(list(tree.modules())) == len(list(other.modules())) and all(_alike(a, b, a) for a, b in pairs)
