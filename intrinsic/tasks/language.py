"""Texts as a language model learns them: tokens from other tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.tasks.task import Split, Task

MASKED, REPLACED, KEPT = 0.15, 0.1, 0.1  # of the tokens, and of those that are masked: Devlin et al. 2019
ABSENT = -1  # of targets: nothing is predicted here
ROWS = 1 << 14  # examples that are masked at once, to bound memory


class Vocabulary(Protocol):
    """The token ids of a tokenizer: 0 ... size - 1, that of its mask token, and those of its special tokens."""

    size: int
    mask: int | None
    special: Sequence[int]


def plain_text(train: Split, validation: Split, test: Split, texts: Sequence[tuple[str, ...]]) -> Task:
    """A task of texts without labels, of which `language` makes what a language model learns."""
    return Task(train, validation, test, 0, loss=token_loss, score=token_hits, tokens=token_counts, texts=texts)


def language(task: Task, vocabulary: Vocabulary, *, objective: str, seed: int) -> Task:
    """The task of predicting the tokens of tokenised texts: targets (n, length) int32, ABSENT where nothing is.

    causal: the target at each place is the next token; the last place has none. masked: 15 % of a text's tokens, at
    least one and special tokens aside, are predicted; 80 % of these are read as the mask token, 10 % as a random one,
    10 % as they are. The masks of a text are fixed by `seed` and its place in its split, so that evaluation is the same
    at every call; in training they are drawn anew in each step, as dropout is (`Task.noise`).

    Raises:
        UserError: for masked without a mask token, and for a split with nothing to predict.

    Source: Devlin et al. 2019, BERT, arXiv:1810.04805, section 3.1 and appendix A.1.
    """
    if objective == "causal":
        splits = [_shifted(split) for split in (task.train, task.validation, task.test)]
        noise = None
    else:
        if vocabulary.mask is None:
            raise UserError("a masked language model needs a mask token, its tokenizer has none: need a [MASK] in it")
        noise = Masking(vocabulary.mask, vocabulary.size, tuple(vocabulary.special))
        named = {"train": task.train, "validation": task.validation, "test": task.test}
        splits = [noise.mask_split(split, rng.fan_out(seed, "masks", name)) for name, split in named.items()]
    for name, split in zip(("train", "validation", "test"), splits, strict=True):
        if not (split.targets >= 0).any():
            raise UserError(f"the {name} texts have no token to predict: need texts of two tokens and more")
    train, validation, test = splits
    return replace(task, train=train, validation=validation, test=test, num_outputs=vocabulary.size, noise=noise)


def _shifted(split: Split) -> Split:
    ids = split.inputs[:, 0]
    return replace(split, targets=functional.pad(ids[:, 1:], (0, 1), value=ABSENT))  # ids are -1 beyond the end


@dataclass(frozen=True)
class Masking:
    """Hides tokens: (inputs (n, 2, length), targets (n, >= length)) with other places masked, from the global state.

    Args:
        mask: the id that is read instead of a token.
        size: of the vocabulary, from which random tokens are drawn evenly.
        special: ids that are never hidden.
    """

    mask: int
    size: int
    special: tuple[int, ...]

    def __call__(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The texts that a masked batch is of, masked anew."""
        ids, targets = inputs[:, 0], targets[:, : inputs.shape[-1]]
        return self._masked(inputs, targets.where(targets >= 0, ids), torch.rand(3, *ids.shape, device=ids.device))

    def mask_split(self, split: Split, seed: int) -> Split:
        """A split of whole texts, masked by a seed."""
        parts, start = [], 0
        for inputs in split.inputs.split(ROWS):
            count = 3 * inputs[:, 0].numel()
            uniforms = torch.from_numpy(rng.uniforms(seed, count, start=start)).view(3, *inputs[:, 0].shape)
            parts.append(self._masked(inputs, inputs[:, 0], uniforms))
            start += count
        read, targets = (torch.cat(column) for column in zip(*parts, strict=True))
        return Split(read, targets, split.lengths)

    def _masked(self, inputs: Tensor, ids: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """`ids` (n, length), the whole texts of `inputs`; `uniforms` (3, n, length): where, how, and which instead."""
        where, how, which = uniforms
        free = (ids >= 0) & ~torch.isin(ids, torch.tensor(self.special, device=ids.device))
        count = (MASKED * free.sum(1, keepdim=True)).round().clamp(min=1)
        rank = where.masked_fill(~free, 2.0).argsort(1).argsort(1)
        hidden = free & (rank < count)
        instead = (which * self.size).to(ids.dtype).clamp(max=self.size - 1)
        read = ids.where(~hidden | (how >= 1 - KEPT), instead).masked_fill(
            hidden & (how < 1 - KEPT - REPLACED), self.mask
        )
        return torch.stack([read, inputs[:, 1]], 1), ids.masked_fill(~hidden, ABSENT)


def token_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy, in nats, of the tokens that are predicted; zero where there are none."""
    targets = targets[:, : outputs.shape[1]]
    total = functional.cross_entropy(
        outputs.flatten(0, 1), targets.flatten().long(), ignore_index=ABSENT, reduction="sum"
    )
    return total / (targets >= 0).sum().clamp(min=1)


def token_hits(outputs: Tensor, targets: Tensor) -> Tensor:
    """How many tokens of each text the largest logit names: (n,)."""
    return (outputs.argmax(-1) == targets[:, : outputs.shape[1]]).sum(1).float()


def token_counts(targets: Tensor) -> Tensor:
    """How many tokens of each text are predicted: (n,)."""
    return (targets >= 0).sum(1)
