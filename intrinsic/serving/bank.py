"""Several trained methods over one frozen base."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from torch import Tensor, nn

from intrinsic.checks import check_module
from intrinsic.errors import UserError
from intrinsic.layers.low_rank import LowRank
from intrinsic.serving.last_mixture import LastMixture
from intrinsic.serving.made_of import MadeOf
from intrinsic.serving.materialise import materialise, projected
from intrinsic.serving.mixture import Mixture
from intrinsic.serving.rows import Rows
from intrinsic.subspace import Subspace, checkpoint
from intrinsic.subspace.alone import alive, check_alone
from intrinsic.subspace.turns import Turns, in_turn
from intrinsic.surgery.head import find_head
from intrinsic.surgery.torch_internals import Movable, own_modules
from intrinsic.surgery.tree import separate, swap, twin


class Bank(Movable):
    """One base model and the tasks that were trained on it: `bank.use(name)`, then `bank(inputs)`, in evaluation mode.

    A task is a tree of modules of its own over the base's tensors. Nothing is ever written into the base, so that a
    switch is exact: theta_0 + P z is computed from theta_0 each time, to the same bits, and LoRA's factors stay as they
    are. Memory: the base once; for each task what it trained, buffers, what its space put into the model, and its P,
    which equal ones share; theta_0 + P z for the task in use. Several threads may call at once; `use` is for all. What
    is kept from call to call is made anew when numbers that it is made of are written to, or loaded.

    Args:
        model: the base, at the weights that training started from; the bank freezes it.
        keep: False draws P anew at each switch: seconds for millions of weights, where a kept one takes tenths of one.

    Raises:
        UserError: if the model is not a plain one, or is in a Subspace that trains its parameters.

    Examples:
        >>> import torch, intrinsic
        >>> model = torch.nn.Linear(4, 2)
        >>> bank = intrinsic.Bank(model)
        >>> bank.add("first", intrinsic.Subspace(model, projection=intrinsic.OneHot, dim=3))
        >>> bank.use("first").tasks
        ['first']
    """

    def __init__(self, model: nn.Module, *, keep: bool = True) -> None:
        super().__init__()
        check_module(model)
        if any(isinstance(m, Subspace) or (isinstance(m, LowRank) and not m.kept) for m in model.modules()):
            raise UserError("a bank needs the model as it was before any method was put into it: merge it first")
        check_alone(set(model.modules()), changes=False)
        self.turns = Turns()
        self.model, self.keep = model.requires_grad_(False).eval(), keep
        self.training = False
        self._tree: list[nn.Module] = [model]  # in a list: no part of the module tree
        self._mixture = LastMixture(model)
        self._made_of = MadeOf(model, [])  # the two
        self.active: str | None = None  # the task in use; None: the base alone
        self.register_load_state_dict_post_hook(Bank._loaded)
        alive[self] = False

    @property
    def tasks(self) -> list[str]:
        """The tasks' names, in the order in which they were added."""
        return [name.removeprefix("task_") for name in own_modules(self) if name.startswith("task_")]

    @in_turn
    def add(self, name: str, source: Subspace | str | Path, *, head: nn.Module | None = None) -> None:
        """Add a trained task.

        Args:
            name: what it is called from now on.
            source: a trained subspace, of which the trained numbers are copied, or a file that `intrinsic.save` wrote.
            head: for a task with another head than the base: a head like the one that its model had before training.

        Raises:
            UserError: if the name is taken, or the task was trained on another base; the bank is then as it was.
        """
        if not isinstance(name, str) or not name or "." in name or name in self.tasks:
            raise UserError(f"need a name for the task that is new and has no dot, got name={name!r}")
        tree = twin(self.model)
        if head is not None:
            swap(tree, tree.get_submodule(find_head(tree)), twin(head).requires_grad_(False))
        try:
            net = source.around(tree) if isinstance(source, Subspace) else checkpoint.rebuild(tree, source)
            own = {*net.trained_names, *net.coordinate_names} if net.moves_base else net.trained_names
            separate(net.model, own, self.model)
            if isinstance(source, Subspace):
                if net.fingerprint() != source.fingerprint():
                    raise UserError(
                        f"task {name} was trained on another base, or on a head that has to be given as head="
                    )
                checkpoint.load_trained(net, checkpoint.trained_state(source), f"task {name}")
            else:
                checkpoint.load(net, source)
        finally:
            self.model.requires_grad_(False)
        for parameter in nn.Module.parameters(net.eval()):
            parameter.requires_grad_(False)
        others = [other.projection for other in map(self.net, self.tasks) if other.projection]
        known = {projection.fingerprint(): projection for projection in others}
        projection = known.get(net.projection.fingerprint(), net.projection)
        own_modules(net)["projection"] = projection if self.keep else None
        self.add_module(f"task_{name}", net)

    @in_turn
    def remove(self, name: str) -> None:
        """Take a task out; if it is in use, the base is used from now on."""
        self.net(name)
        if self.active == name:
            self.use(None)
        self._mixture.forget()
        delattr(self, f"task_{name}")

    def net(self, name: str) -> Subspace:
        """The task's subspace.

        Raises:
            UserError: if there is no such task.
        """
        if name not in self.tasks:
            raise UserError(f"the bank has no task {name!r}: it has {', '.join(self.tasks) or 'none'}")
        found: Subspace = getattr(self, f"task_{name}")
        return found

    @in_turn
    def use(self, name: str | None) -> Self:
        """Switch to a task, or to the base alone: what `bank(inputs)` computes from now on."""
        self._tree = [self._materialise(name)]
        self.active = name
        self._watch()
        return self

    def forward(self, *args: Any, tasks: Sequence[str | None] | None = None, **kwargs: Any) -> Any:
        """What the model returns for the task in use, or for the task of each row.

        Rows of LoRA tasks are computed together, with the factors of each row (see `Mixture`); those of other tasks by
        one pass for each task, and all where the rows cannot be told from another axis within the model. The results
        have the order of the rows. A tensor whose first axis has as many entries as there are tasks is taken to have
        rows. `tasks` has for each row the name of its task, None for the base; all other arguments are the model's.

        Raises:
            UserError: for an unknown task, not one for each row, or outputs of heads of several sizes.
        """
        if self._made_of.has_changed():
            self._renew()
        if tasks is None:
            return self._tree[0](*args, **kwargs)
        rows = Rows(tasks)
        rows.check((args, kwargs))
        functions: dict[Any, Any] = {name: self._call(name) for name in rows.names}
        mixture = self._mix(rows.names)
        return (rows.map if mixture is None else partial(mixture.map, rows))(functions, args, kwargs)

    @in_turn
    def merge(self, name: str, onto: nn.Module | Literal["dequantized"] | None = None) -> nn.Module:
        """A copy of the base with the task merged into its weights. See `Subspace.merge`."""
        net = self.net(name)
        with projected(net, keep=self.keep):
            return net.merge(onto)

    def train(self, mode: bool = True) -> Self:
        """A bank stays in evaluation mode.

        Raises:
            UserError: for another one.
        """
        if mode:
            raise UserError("a bank serves what has been trained: train a Subspace, and add it")
        return super().train(mode)

    @in_turn
    def _materialise(self, name: str | None) -> nn.Module:
        """The model of a task, with theta_0 + P z in its places."""
        return self.model if name is None else materialise(self.net(name), keep=self.keep)

    @in_turn
    def _call(self, name: str | None) -> Callable[..., Any]:
        if name == self.active:
            return self._tree[0]
        return lambda *args, **kwargs: self._materialise(name)(*args, **kwargs)

    @in_turn
    def _mix(self, names: list[str | None]) -> Mixture | None:
        """What computes those of the tasks together that can be; None for less than two."""
        together = [name for name in names if self._mixture.takes(name, self._materialise)]
        if len(together) < 2:
            return None
        before, mixture = self._mixture.names, self._mixture.of(together, self._materialise)
        if self._mixture.names is not before:
            self._watch()
        return mixture

    def relocate(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Go to another device or dtype, with the task that is in use."""
        super().relocate(fn, recurse)
        return self._renew()

    @in_turn
    def _renew(self) -> Self:
        """Make anew what is kept from call to call."""
        self._mixture.forget()
        return self.use(self.active)

    def _loaded(self, _: Any) -> None:
        """After load_state_dict."""
        self._renew()

    def _watch(self) -> None:
        """Note what the kept things are made of; an active task without a projection holds what is trained itself."""
        mixed = self._mixture.names
        nets = {name: self.net(name) for name in (self.active, *mixed) if name is not None}
        self._made_of = MadeOf(self.model, [net for name, net in nets.items() if name in mixed or not net.identity])
