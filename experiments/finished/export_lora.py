"""A trained run as LoRA of any rank, in PEFT's format."""

from pathlib import Path

from experiments.finished.reopen import reopen
from intrinsic.errors import UserError
from intrinsic.peft.export_peft import export_peft
from intrinsic.peft.truncated_lora import truncated_lora
from intrinsic.training.evaluate import evaluate


def export_lora(run: Path, folder: Path, rank: int) -> list[str]:
    """Write the run's change of the weights as LoRA of rank r, whatever its method; and say what that costs.

    Raises:
        UserError: as `reopen` and `truncated_lora`, for what no weight can hold (adapters, prefixes, prompts), and for
            a folder that is there.
    """
    if folder.exists():
        raise UserError(f"{folder} is there already: need the name of a new folder")
    opened = reopen(run)
    start, end = opened.plain()
    added = sorted({type(part).__name__ for part in end.modules() if type(part).__module__.startswith("intrinsic.la")})
    if not opened.net.space.merges:
        raise UserError(
            f"method={opened.record.method} adds {', '.join(added)}, which LoRA cannot hold: need a method that "
            "merges, such as full or subspace"
        )
    found = truncated_lora(start, end, rank=rank)
    export_peft(found.net, folder)
    task = opened.task
    scores = [evaluate(net, task, task.validation)[task.metric] for net in (opened.net, found.net)]
    worst = max(found.errors, key=lambda name: found.errors[name])
    lost = f"; not held: {len(found.lost)} tensors such as {found.lost[0]}" if found.lost else ""
    share = f", {100 * found.lost_share:.2g} % of the squared change" if found.lost_share else ""
    return [
        f"{folder}",
        f"rank {rank} of {len(found.errors)} matrices: relative error {found.error:.3g} of their change (Frobenius), "
        f"at most {found.errors[worst]:.3g} ({worst}){lost}{share}",
        f"validation {task.metric} {scores[0]:.4f} → {scores[1]:.4f}",
    ]
