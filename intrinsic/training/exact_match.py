"""The share of prompts that a language model answers right."""

from intrinsic.subspace import Subspace
from intrinsic.tasks.task import Split, Task
from intrinsic.training.generate import generate, prompts_of

PROMPTS = 64  # at once, of similar lengths


def exact_match(net: Subspace, task: Task, split: Split) -> float:
    """The share of greedy answers that the task's verifier calls right, in [0, 1], in evaluation mode."""
    assert task.generation is not None
    assert split.rows is not None
    net.eval()
    right = 0.0
    for some in prompts_of(split.inputs)[1].cpu().argsort(stable=True).split(PROMPTS):
        own = split.select(some)
        assert own.rows is not None
        right += task.generation.judge(generate(net, task, own.inputs), own.rows).sum().item()
    return right / len(split)
