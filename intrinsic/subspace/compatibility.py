"""Compatibility with other people's training loops: what they look for on a model."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Self

from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.subspace.places import SHARD_FIRST
from intrinsic.surgery.added_module import AddedModule
from intrinsic.surgery.sharding import holds_shards, is_sharded
from intrinsic.surgery.torch_internals import ignore_in_ddp, own_modules

_FORWARDED = ("config", "main_input_name", "activation_checkpointing_enable", "gradient_checkpointing_enable")


class Compatible(AddedModule):
    """A module around a `model` that Hugging Face's Trainer and DistributedDataParallel can train in the model's place.

    Trainer finds the model's config and its switch for activation checkpointing here; it needs
    `remove_unused_columns=False`, because `forward` takes whatever the model takes, and `label_names=["labels"]` for
    metrics in evaluation. Its own checkpoints hold the base as well:
    `save_strategy="no"` and `intrinsic.save` leave a few kB.

    Of DistributedDataParallel's traffic nothing grows with the model: the gradient of the trained numbers, and the
    model's persistent buffers. Every process makes the same base and P from the same seed; neither is sent.
    """

    model: nn.Module
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
            if name not in _FORWARDED or "model" not in own_modules(self):
                raise
            return getattr(self.model, name)

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """The trained parameters only: z and what is trained beside it; frozen weights are in `state_dict()`."""
        for name, parameter in super().named_parameters(prefix, recurse, remove_duplicate):
            own = name.removeprefix(prefix + "." * bool(prefix))
            if not own.startswith("model.") or own.removeprefix("model.") in self.trained_names:
                yield name, parameter

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
