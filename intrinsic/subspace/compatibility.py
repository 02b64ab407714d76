"""Compatibility with other people's training loops: what they look for on a model."""

import inspect
from collections.abc import Callable, Iterator
from functools import cached_property, wraps
from types import MethodType
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.subspace.displacement import Displacement
from intrinsic.subspace.places import SHARD_FIRST
from intrinsic.surgery.added_module import AddedModule
from intrinsic.surgery.padding import padding_rows
from intrinsic.surgery.sharding import holds_shards, is_sharded
from intrinsic.surgery.torch_internals import ignore_in_ddp, is_averaging, own_modules

if TYPE_CHECKING:
    from intrinsic.subspace.subspace import Subspace

_FORWARDED = (
    "config",
    "dtype",
    "main_input_name",
    "activation_checkpointing_enable",
    "gradient_checkpointing_enable",
    "activation_checkpointing_disable",
    "gradient_checkpointing_disable",
    "is_activation_checkpointing",
    "is_gradient_checkpointing",
    "generation_config",
    "add_model_tags",
)
_PARTS = ("base_model", "get_output_embeddings")  # of transformers' models, that compute: at theta_0 + P z alone


class Compatible(AddedModule):
    """A module around a `model` that Trainer, TRL and DistributedDataParallel can train in the model's place.

    Trainer finds the model's config and its switch for activation checkpointing here; it needs
    `remove_unused_columns=False`, because `forward` takes whatever the model takes, and `label_names=["labels"]` for
    metrics in evaluation. Its own checkpoints hold the base as well:
    `save_strategy="no"` and `intrinsic.save` leave a few kB.

    A function that somebody puts in the place of `forward`, as TRL's trainers do, may call parts of the model: while it
    runs, they compute at theta_0 + P z.

    Of DistributedDataParallel's traffic nothing grows with the model: the gradient of the trained numbers, and the
    model's persistent buffers. Every process makes the same base and P from the same seed; neither is sent.
    """

    model: nn.Module
    _moves: Displacement
    is_replaced = False  # whether something was put in the place of `forward`
    moves_base = False  # whether weights that are not trained move all the same, as in `Redrawn`

    def __new__(cls, model: Any = None, *_: Any, **__: Any) -> Self:
        """Over a sharded model, the kind of net that knows how."""
        if isinstance(model, nn.Module) and holds_shards(model):
            from intrinsic.subspace.sharded import ShardedSubspace

            if not issubclass(ShardedSubspace, cls):
                raise UserError(f"need intrinsic.Subspace itself around a sharded model, got {cls.__name__}")
            return super().__new__(ShardedSubspace)  # type: ignore[return-value]
        return super().__new__(cls)

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse what fully_shard makes of a net."""
        super().__init_subclass__(**options)
        if any(base.__name__ == "FSDPModule" for base in cls.__mro__):
            raise UserError(SHARD_FIRST)

    def on_one_process(self, do: Callable[[], None]) -> None:
        """Do what one of several processes that share the model has to do: here there is but one."""
        do()

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            part = name in _PARTS and (self.is_under_way() or (self.is_replaced and self.identity))
            if not (name in _FORWARDED or part) or "model" not in own_modules(self):
                raise
            return getattr(self.model, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "forward":
            self.is_replaced = True
            value = MethodType(_at_weights(value, self), self)
        super().__setattr__(name, value)

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """What the `generate` of a model of transformers returns, at theta_0 + P z, without gradients.

        Raises:
            UserError: if the model has none.
        """
        if not callable(getattr(self.model, "generate", None)):
            raise UserError(
                f"{type(self.model).__name__} generates nothing: need a causal language model of transformers"
            )
        with torch.no_grad(), self.at(self.weights()) as model:
            return model.generate(*args, **kwargs)

    def around(self, model: nn.Module) -> "Subspace":
        """A net made like this one, around another model."""
        from intrinsic.subspace.subspace import Subspace

        same = ("space", "dim", "granularity", "scales", "head", "seed", "projection_seed")
        return Subspace(model, projection=self.make_projection, **{name: getattr(self, name) for name in same})

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """The trained parameters only: z and what is trained beside it; frozen weights are in `state_dict()`.

        With duplicates under all names of a tied one: `torch.func.functional_call` ties by them.

        To torch's AveragedModel all: it pairs them with all of a copy, and an average of frozen weights changes none.

        Raises:
            UserError: to AveragedModel, if P changes from step to step.
        """
        every = is_averaging()
        if every and self.moves_base:
            raise UserError("an average over steps is of one P, and redraw changes it: use redraw=null, or Subspace")
        found, base = list(super().named_parameters(prefix, recurse, remove_duplicate)), f"{prefix}.model.".lstrip(".")
        trained = {
            id(parameter)
            for name, parameter in found
            if every or not name.startswith(base) or name.removeprefix(base) in self.trained_names
        }
        yield from (pair for pair in found if id(pair[1]) in trained)

    @cached_property
    def zero_rows(self: "Subspace") -> list[tuple[int, int]]:  # type: ignore[misc]
        """Rows of P that are zero, see `padding_rows`; emptied where a file says that they were not."""
        return [] if self.identity else padding_rows(self.model, self.coordinate_names)

    def forget(self) -> None:
        """Let go of what is kept between calls: buffers of the size of theta, made anew when they are needed."""
        self._moves.forget()

    def relocate(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        """Go to another device or dtype, and forget what was made here."""
        self.forget()
        return super().relocate(fn, recurse)

    @property
    def accepts_loss_kwargs(self) -> bool:
        """Whether the model takes num_items_in_batch, and divides its loss by it: Trainer asks."""
        if hasattr(self.model, "accepts_loss_kwargs"):
            return bool(self.model.accepts_loss_kwargs)
        kinds = [parameter.kind for parameter in inspect.signature(self.model.forward).parameters.values()]
        return inspect.Parameter.VAR_KEYWORD in kinds

    def _keep_at_home(self) -> None:
        """Keep tensors in state dicts apart, and buffers that never change from DistributedDataParallel's traffic."""
        self.register_state_dict_post_hook(own_storage)
        persistent = set(self.model.state_dict(prefix="model."))  # P has no buffers, and a fingerprint that takes time
        ignore_in_ddp(self, [name for name, _ in self.named_buffers() if name not in persistent])


def _at_weights(function: Callable[..., Any], net: "Compatible") -> Callable[..., Any]:
    """A method that calls a function where the places hold theta_0 + P z; in a copy of the net it is the copy's."""
    is_method = isinstance(function, MethodType) and function.__self__ is net

    @wraps(function)
    def forward(self: "Subspace", *args: Any, **kwargs: Any) -> Any:
        called = MethodType(function.__func__, self) if is_method else function  # type: ignore[attr-defined]
        if self.is_under_way():  # several were put there, one around another
            return called(*args, **kwargs)
        return self.run(called, self.weights(), *args, **kwargs)

    return forward


def own_storage(net: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    """Give each tensor of a state dict a storage of its own: the names of a tied weight, parts of a larger one."""
    seen: set[int] = set()
    for name, tensor in state.items():
        own = name.startswith(prefix) and isinstance(tensor, Tensor) and not isinstance(tensor, nn.Parameter)
        if own and not is_sharded(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() in seen or storage.nbytes() > tensor.nbytes:
                state[name] = tensor.clone()
            seen.add(storage.data_ptr())
