"""Loss and metrics over a split."""

import torch
from torch import Tensor

from intrinsic.subspace import Subspace
from intrinsic.tasks.batches import batches
from intrinsic.tasks.environment import Environment
from intrinsic.tasks.task import Split, Task
from intrinsic.training.exact_match import exact_match
from intrinsic.training.seeded import seeded

EVALUATION_BATCH = 1000  # examples
EVALUATION_TEXTS = 64  # of inputs that have lengths: a longer batch leaves the cache, and takes more padding
EVALUATION_LOGITS = 1 << 26  # of texts with logits at each token: a quarter of a GB


def evaluate(net: Subspace, task: Task, split: Split) -> dict[str, float]:
    """Mean loss and the task's metric or metrics over a split, in evaluation mode: {"loss": ..., task.metric: ...}.

    Where tokens are predicted, both are means over the tokens of the split, beside "perplexity" = exp(loss). Outputs
    are kept for metrics of whole splits alone. Inputs that have lengths are sorted by them, so that little is padded:
    the same up to rounding. What a model draws at random there is the same at every call; the global random state is
    left as it was. Of episodes the mean return, and minus it as the loss.
    """
    net.eval()
    if task.environment is not None:
        return _mean_return(net, task.environment, split)
    loss, score = 0.0, 0.0
    seen: list[tuple[Tensor, Tensor]] = []
    device = split.inputs.device
    order = None if split.lengths is None else split.lengths.argsort(stable=True)
    size = EVALUATION_BATCH if order is None else EVALUATION_TEXTS
    judged = len(split) if task.tokens is None else int(task.tokens(split.targets).sum())
    if task.tokens is not None:
        size = max(1, min(size, EVALUATION_LOGITS // (task.num_outputs * split.inputs.shape[-1])))
    with torch.no_grad(), seeded(0, device):
        weights = net.weights()
        for inputs, targets in batches(split, order, size):
            outputs = net.call(weights, inputs)
            count = len(inputs) if task.tokens is None else int(task.tokens(targets).sum())
            loss += task.loss(outputs, targets).item() * count
            if task.score is None:
                seen.append((outputs.cpu(), targets.cpu()))
            else:
                score += task.score(outputs, targets).sum().item()
    if task.generation is not None:
        mean = torch.tensor(loss / judged, dtype=torch.float64)
        found = {"loss": loss / judged, "token_accuracy": score / judged, "perplexity": mean.exp().item()}
        return found if task.generation.verifier is None else {**found, "exact_match": exact_match(net, task, split)}
    if task.metrics is None:
        beside = (
            {} if task.tokens is None else {"perplexity": torch.tensor(loss / judged, dtype=torch.float64).exp().item()}
        )
        return {"loss": loss / judged, task.metric: score / judged, **beside}
    outputs, targets = (torch.cat(parts) for parts in zip(*seen, strict=True))
    return {"loss": loss / len(split), **task.metrics(outputs, targets)}


def _mean_return(net: Subspace, environment: Environment, split: Split) -> dict[str, float]:
    with torch.no_grad():
        weights = net.weights()
        mean = environment.returns(lambda observations: net.call(weights, observations), split.inputs).mean().item()
    return {"loss": -mean, "return": mean}
