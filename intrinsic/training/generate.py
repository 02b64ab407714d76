"""Answers of a language model, token by token."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from intrinsic.subspace import Subspace
from intrinsic.tasks.instructions import COMPLETION, PROMPT
from intrinsic.tasks.language import ABSENT
from intrinsic.tasks.task import Task

Choice = Callable[[Tensor, int], Tensor]  # of logits (n, num_outputs) for token number i of the answers: ids (n,)


def greedy(logits: Tensor, _: int) -> Tensor:
    """The token of the largest logit; of equal ones the first."""
    return logits.argmax(-1)


def prompts_of(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """The prompts in inputs (n, 2, length): ids (n, longest) int64, ABSENT beyond the end, and lengths (n,)."""
    ids, kinds = inputs.long().unbind(1)
    lengths = (kinds == PROMPT).sum(1)
    longest = int(lengths.max())
    return ids[:, :longest].masked_fill(kinds[:, :longest] != PROMPT, ABSENT), lengths


@torch.no_grad()
def generate(net: Subspace, task: Task, inputs: Tensor, choose: Choice = greedy) -> Tensor:
    """Answer the prompts in inputs (n, 2, length), at theta_0 + P z and in the mode that the net is in.

    A model that keeps keys and values reads each token once, behind prompts that are padded on their left; another one,
    and one with modules of the space's own between its layers, reads prompt and answer anew for each token.

    Returns:
        Token ids (n, length) int64, up to `max_new_tokens`; what ends an answer is the last of it, ABSENT behind it.
    """
    assert task.generation is not None
    ids, lengths = prompts_of(inputs)
    with net.at(net.weights()) as model:
        after = _Cached if net.space.merges and hasattr(model, "next_logits") else _Anew
        step = after(model, ids, lengths)
        answers = ids.new_full((len(ids), task.generation.length), ABSENT)
        over = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
        for number in range(answers.shape[1]):
            logits = step.logits()[:, : task.num_outputs]
            token = choose(logits, number)
            answers[:, number] = token.masked_fill(over, ABSENT)
            over |= token == (ABSENT if task.generation.end is None else task.generation.end)
            if over.all():
                break
            step.add(token)
    return answers


class _Cached:
    """The next logits of a model that keeps keys and values: texts (n, length) end together, padded on the left."""

    def __init__(self, model: Any, ids: Tensor, lengths: Tensor) -> None:
        self._model, self._past = model, None
        width = ids.shape[1]
        places = torch.arange(width, device=ids.device) - (width - lengths)[:, None]  # negative before the text
        self._used = places >= 0
        self._new = ids.gather(1, places.clamp(min=0)).clamp(min=0)

    def logits(self) -> Tensor:
        found: Tensor
        found, self._past = self._model.next_logits(self._new, self._used, self._past)
        return found

    def add(self, token: Tensor) -> None:
        self._new = token[:, None]
        self._used = functional.pad(self._used, (0, 1), value=True)


class _Anew:
    """The next logits of any model of tokens (n, 2, length), ABSENT beyond the end of each."""

    def __init__(self, model: nn.Module, ids: Tensor, lengths: Tensor) -> None:
        self._model, self._ids, self._lengths = model, ids, lengths.clone()
        self._kinds = torch.full_like(ids, PROMPT).masked_fill(ids < 0, ABSENT)

    def logits(self) -> Tensor:
        outputs: Tensor = self._model(torch.stack([self._ids, self._kinds], 1))
        return outputs[torch.arange(len(self._ids), device=outputs.device), self._lengths - 1]

    def add(self, token: Tensor) -> None:
        self._ids, self._kinds = (functional.pad(each, (0, 1), value=ABSENT) for each in (self._ids, self._kinds))
        row = torch.arange(len(token), device=token.device)
        self._ids[row, self._lengths], self._kinds[row, self._lengths] = token, COMPLETION
        self._lengths += 1
