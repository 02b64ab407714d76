"""Updates of fused experts in PEFT's format: its `target_parameters`."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.layers.low_rank import expert_names
from intrinsic.surgery.torch_internals import own_parameters

_INNER = ".base_layer"


def split_experts(
    factors: Mapping[str, list[Tensor]], modules: Mapping[str, nn.Module], targeted: Sequence[str], folder: object
) -> dict[str, list[Tensor]]:
    """The factors, with those of experts by the tensor's name: A (experts, r, in), B (experts, out, r).

    PEFT wraps a module once for each of its tensors, the first one innermost, and tells by the order alone which
    factors are whose: A (r experts, in), where an expert's rows stand together, and B (out, r experts), where those of
    a rank do.

    Raises:
        UserError: if there are fewer or more factors than targets.
    """
    found: dict[str, list[Tensor]] = {}
    wrapped: dict[str, dict[int, list[Tensor]]] = {}
    for name, pair in factors.items():
        owner = name
        while owner.endswith(_INNER) and owner not in modules:
            owner = owner.removesuffix(_INNER)
        module = modules.get(owner)
        if module is not None and expert_names(module):
            wrapped.setdefault(owner, {})[(len(name) - len(owner)) // len(_INNER)] = pair
        else:
            found[name] = pair
    for owner, pairs in wrapped.items():
        names = [
            name
            for name in own_parameters(modules[owner])
            if any(f".{owner}.{name}".endswith(f".{target}") for target in targeted)
        ]
        if sorted(pairs) != list(range(len(names))):
            raise UserError(
                f"{folder} has {len(pairs)} updates of {owner}, and target_parameters that name {len(names)} of its "
                "tensors: write it with PEFT's save_pretrained"
            )
        for depth, (A, B) in pairs.items():
            name = names[len(names) - 1 - depth]
            experts = len(own_parameters(modules[owner])[name])  # type: ignore[arg-type]
            if len(A) % experts or B.shape[1] != len(A):
                raise UserError(
                    f"{folder} holds {tuple(A.shape)} and {tuple(B.shape)} for {owner}.{name}, of {experts} experts: "
                    "load it around the model that it was made for"
                )
            both = A.unflatten(0, (experts, -1)), B.unflatten(1, (-1, experts)).permute(2, 0, 1)
            found[f"{owner}.{name}"] = [tensor.contiguous() for tensor in both]
    return found
