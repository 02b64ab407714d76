"""The last layer alone."""

from dataclasses import dataclass

from torch import nn

from intrinsic.errors import UserError
from intrinsic.spaces.base import Space
from intrinsic.surgery.head import find_head


@dataclass(frozen=True)
class Head(Space):
    """The parameters of the head on a frozen backbone (feature extraction).

    In models of transformers the head is what the task adds: `classifier` (BERT; with its dense layer in RoBERTa),
    `score` (GPT-2, Llama), `classification_head` (T5). BERT's pooler, which is pretrained, is no part of it. That of a
    language model is its output embedding; one that is tied to the input embedding moves that, too.

    Args:
        name: the head's module name. None: a language model's output embedding, a child called head, classifier,
            score, classification_head, lm_head or fc, else the last nn.Linear.

    Examples:
        >>> import torch, intrinsic
        >>> model = torch.nn.Sequential(torch.nn.Linear(20, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> intrinsic.Subspace(model, space=intrinsic.Head()).coordinate_names
        ['2.weight', '2.bias']
    """

    name: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str | None):
            raise UserError(f"need name as the name of a module or null, got name={self.name}")

    def wire(self, model: nn.Module, *, seed: int) -> dict[str, nn.Parameter]:
        """The head's parameters."""
        head = find_head(model) if self.name is None else self.name
        module = dict(model.named_modules(remove_duplicate=False)).get(head)
        inside = {id(parameter) for parameter in module.parameters()} if module is not None else set()
        found = {name: parameter for name, parameter in model.named_parameters() if id(parameter) in inside}
        if not found:
            modules = ", ".join(name for name, _ in model.named_children())
            raise UserError(f"space head: no parameters under {head!r}; modules: {modules}")
        return found
