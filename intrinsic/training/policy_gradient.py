"""The training loop of policy gradients on prompts."""

from torch import Tensor

from intrinsic import rng
from intrinsic.subspace import Subspace
from intrinsic.tasks.task import Task
from intrinsic.training.drawn_answers import DrawnAnswers
from intrinsic.training.exact_answers import ExactAnswers, OneTokenRewards
from intrinsic.training.grpo import GRPO
from intrinsic.training.learning_rates import LearningRates
from intrinsic.training.optimizer_step import optimizer_step, zero_grad
from intrinsic.training.regularized import regularized
from intrinsic.training.seeded import seeded


def policy_gradient(
    net: Subspace,
    task: Task,
    optimizer: GRPO,
    rates: LearningRates,
    *,
    batch_size: int,
    order: Tensor,
    l2_weights: float,
    seed: int,
) -> float:
    """One pass over the training prompts, a batch of answers for each `batch_size` of them; see `GRPO`.

    Answers are drawn in evaluation mode, and learned from in training mode, with dropout. Returns minus their mean
    reward, each before its step.

    Args:
        net: the policy, what is trained.
        task: of prompts, with a verifier, whose word is the reward: 1 or 0.
        optimizer: over `net.parameters()`.
        rates: of the optimiser.
        batch_size: prompts.
        order: of the training split.
        l2_weights: see `intrinsic.training.fit`.
        seed: of the answers and of dropout.

    Raises:
        UserError: for answers of several tokens where all are to be weighed.
    """
    rewards = OneTokenRewards(task) if optimizer.samples == "exact" else None
    total = 0.0
    with seeded(seed, task.train.inputs.device):
        for number, some in enumerate(order.split(batch_size)):
            split = task.train.select(some)
            batch: DrawnAnswers | ExactAnswers
            if rewards is None:
                batch = DrawnAnswers(net, task, optimizer, split, seed=rng.fan_out(seed, "answers", number))
            else:
                batch = ExactAnswers(net, rewards, optimizer, split)
            net.train()
            for _ in range(optimizer.updates):
                weights = net.weights()
                zero_grad(optimizer)
                regularized(batch.loss(weights), weights, l2_weights).backward()
                optimizer_step(optimizer)
                rates.after_step()
            total -= batch.reward * len(some)
    return total / len(order)
