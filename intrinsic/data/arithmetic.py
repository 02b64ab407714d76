"""Two numbers, and what is made of them: prompts and completions without a download."""

from collections.abc import Callable, Mapping, Sequence

import torch

from intrinsic.checks import integer
from intrinsic.data.transforms import Transforms
from intrinsic.errors import UserError
from intrinsic.rng import fan_out, permutation
from intrinsic.tasks.generation import Generation
from intrinsic.tasks.instructions import prompts
from intrinsic.tasks.task import Split, Task
from intrinsic.tasks.verifiers import exact_strict

HELD_OUT = 0.1  # of the prompts for validation, and as many for test
ANSWERS: Mapping[str, Callable[[int, int], str]] = {
    "sum": lambda a, b: str(a + b),
    "reversed": lambda a, b: str(a + b)[::-1],
    "difference": lambda a, b: str(a - b),
    "larger": lambda a, b: str(max(a, b)),
}


def arithmetic(*, digits: int, count: int, answers: Sequence[str], loss_on: str, fraction: float, seed: int) -> Task:
    """Make prompts such as 07?45= of two numbers, none twice, and answers: 52, by `exact_match` of greedy ones.

    The prompt does not say what is asked for. With several `answers` every prompt is an example for each of them, so
    that a model that has learned from all divides its probability among them; adapted to one of them, it need not learn
    to compute it. A tenth of the prompts, drawn by `seed`, is validation, another tenth test, whatever the answers:
    the prompts that are held out in one task are held out in all others of the same seed.

    Args:
        digits: of a number; shorter ones have zeros before them.
        count: prompts, drawn by `seed`.
        answers: of "sum", "reversed" (the digits of the sum, the last first), "difference", "larger".
        loss_on: "completion" or "all", see `Generation`.
        fraction: of the training prompts, as `Transforms`.
        seed: of the prompts, the split and the fraction.

    Raises:
        UserError: as `Transforms`, for numbers out of range, and answers that there are not.
    """
    integer("dataset.digits", digits, 1, 3)
    integer("dataset.count", count, 10, 100**digits)
    if isinstance(answers, str) or not isinstance(answers, Sequence) or not answers or set(answers) - set(ANSWERS):
        raise UserError(f"need dataset.answers as a list of {', '.join(ANSWERS)}, got answers={answers!r:.100}")
    if loss_on not in ("completion", "all"):
        raise UserError(f"need dataset.loss_on=completion or all, got loss_on={loss_on!r:.100}")
    transforms = Transforms(rotate=0, shuffle_pixels=False, shuffle_labels=False, fraction=fraction, seed=seed)
    drawn = permutation(fan_out(seed, "numbers"), 100**digits)[:count].tolist()
    numbers = [divmod(place, 10**digits) for place in drawn]
    texts = [(f"{a:0{digits}}?{b:0{digits}}=", ANSWERS[kind](a, b)) for a, b in numbers for kind in answers]
    held, order = round(HELD_OUT * count), torch.from_numpy(permutation(fan_out(seed, "split"), count)).long()
    kinds = torch.arange(len(answers))
    parts = (order[2 * held :], order[:held], order[held : 2 * held])
    rows = [(part.sort().values[:, None] * len(answers) + kinds).flatten() for part in parts]
    splits = transforms(*(Split(each, torch.zeros(len(each), dtype=torch.int64)) for each in rows))
    generation = Generation(
        answers=[answer for _, answer in texts], verifier=exact_strict, chat=False, loss_on=loss_on, max_new_tokens=None
    )
    return prompts(splits, texts, generation, "exact_match")
