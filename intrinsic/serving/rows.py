"""A batch whose rows belong to several tasks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from intrinsic.errors import UserError
from intrinsic.surgery.torch_internals import tree_flatten, tree_map, tree_unflatten


class UnclearRowsError(Exception):
    """A part of a model takes the rows of a batch on another axis than the first, or may do so."""


class Rows:
    """Which task each row of a batch belongs to. A tensor has rows if its first axis has as many entries as tasks.

    Args:
        tasks: the name of each row's task, or whatever else stands for it.
    """

    def __init__(self, tasks: Sequence[Any]) -> None:
        self.tasks = list(tasks)
        self.names = list(dict.fromkeys(self.tasks))
        self._places = {
            name: torch.tensor([row for row, task in enumerate(self.tasks) if task == name]) for name in self.names
        }

    def __len__(self) -> int:
        return len(self.tasks)

    def check(self, inputs: Any) -> None:
        """Compare the number of tasks with the first tensor of a batch.

        Raises:
            UserError: if it has another number of rows.
        """
        rows = _shape(inputs)[:1] or (0,)
        if rows != (len(self),) or not self.tasks:
            raise UserError(f"need the task of each row: got {len(self)} tasks for {rows[0]} rows")

    def check_within(self, inputs: Any, features: int) -> None:
        """Check that the rows are the first axis of what a part of the model takes, whose last ones are `features`.

        Raises:
            UnclearRowsError: if it has another size, or a second axis has the same.
        """
        shape = _shape(inputs)
        if shape[:1] != (len(self),) or len(self) in shape[1 : len(shape) - features]:
            raise UnclearRowsError

    def map(self, functions: Mapping[Any, Callable[..., Any]], args: Any, kwargs: Any) -> Any:
        """What each task's function gives for its own rows, put together in the order of the rows.

        Raises:
            UserError: if the results cannot be put together.
        """
        if len(self.names) == 1:
            return functions[self.names[0]](*args, **kwargs)
        results = []
        for name in self.names:
            own_args, own_kwargs = tree_map(lambda leaf: self._take(leaf, name), (args, kwargs))  # noqa: B023
            results.append(functions[name](*own_args, **own_kwargs))
        leaves, structures = zip(*map(tree_flatten, results), strict=True)
        if any(structure != structures[0] for structure in structures):
            raise UserError(
                f"the outputs of tasks {', '.join(map(str, self.names))} differ in kind: give each its own batch"
            )
        return tree_unflatten([self._join(pieces) for pieces in zip(*leaves, strict=True)], structures[0])

    def _take(self, leaf: Any, name: Any) -> Any:
        if isinstance(leaf, Tensor) and leaf.ndim and len(leaf) == len(self):
            return leaf[self._places[name].to(leaf.device)]
        return leaf

    def _join(self, pieces: Sequence[Any]) -> Any:
        if not isinstance(pieces[0], Tensor):
            if any(piece is not None and not isinstance(piece, bool | int | float | str) for piece in pieces):
                raise UserError(
                    f"cannot put {type(pieces[0]).__name__} outputs of several tasks together: ask for tensors"
                )
            if any(piece != pieces[0] for piece in pieces):
                said = ", ".join(f"{name} {piece!r:.30}" for name, piece in zip(self.names, pieces, strict=True))
                raise UserError(f"an output is no tensor, and differs: {said}: tasks cannot be mixed for it")
            return pieces[0]
        if any(
            piece.ndim == 0 or len(piece) != len(self._places[n]) for n, piece in zip(self.names, pieces, strict=True)
        ):
            raise UserError("an output has no row for each input (a loss?): tasks cannot be mixed for it")
        shapes = [tuple(piece.shape[1:]) for piece in pieces]
        if len(set(shapes)) > 1:
            sizes = ", ".join(f"{name} {shape}" for name, shape in zip(self.names, shapes, strict=True))
            raise UserError(f"outputs of different sizes cannot be one batch: {sizes}: give each its own")
        order = torch.cat([self._places[name] for name in self.names]).argsort()
        return torch.cat(list(pieces))[order.to(pieces[0].device)]


def _shape(inputs: Any) -> tuple[int, ...]:
    """Of the first tensor that has axes."""
    return next((tuple(leaf.shape) for leaf in tree_flatten(inputs)[0] if isinstance(leaf, Tensor) and leaf.ndim), ())
