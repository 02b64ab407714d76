"""The last layer of any model: where it is, and whether a space holds it."""

from typing import Literal

from torch import nn

from intrinsic.errors import UserError

HEAD_NAMES = (
    "head",
    "classifier",
    "score",
    "classification_head",
    "lm_head",
    "fc",
)  # what public models call their last layer

HeadMode = Literal["project", "train", "freeze"]


def find_head(model: nn.Module) -> str:
    """The name of the module that maps features to outputs.

    The output embedding of a language model of transformers, else a child with a usual name, else the last nn.Linear.

    Raises:
        UserError: if there is none.
    """
    embedding = getattr(model, "get_output_embeddings", lambda: None)()
    if embedding is not None:
        return next(name for name, module in model.named_modules() if module is embedding)
    children = dict(model.named_children())
    for name in HEAD_NAMES:
        if name in children:
            return name
    linear = [name for name, module in model.named_modules() if name and isinstance(module, nn.Linear)]
    if not linear:
        raise UserError(f"{type(model).__name__} has no head: need a child named {' or '.join(HEAD_NAMES)}")
    return linear[-1]


def under(name: str, module: str) -> bool:
    """Whether a parameter or module of this name is `module` or lies inside it."""
    return name == module or name.startswith(module + ".")


def head_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The head's parameters by the model's names for them; a tied one may have its name elsewhere."""
    inside = {id(parameter) for parameter in model.get_submodule(find_head(model)).parameters()}
    return {name: parameter for name, parameter in model.named_parameters() if id(parameter) in inside}


def place_head(
    model: nn.Module, coordinates: dict[str, nn.Parameter], mode: str | None
) -> tuple[dict[str, nn.Parameter], set[str]]:
    """The coordinates with the head put in or left out, and the names of what is trained beside them."""
    if mode is None:
        return coordinates, set()
    if mode not in ("project", "train", "freeze"):
        raise UserError(f"need head=project, train or freeze, got head={mode}")
    head = head_parameters(model)
    if mode == "project":
        return coordinates | head, set()
    rest = {name: p for name, p in coordinates.items() if name not in head}
    return rest, set(head) if mode == "train" else set()


def head_or_none(model: nn.Module) -> str | None:
    """The name of the last layer, None where it cannot be told."""
    try:
        return find_head(model)
    except UserError:
        return None  # a backbone alone
