"""Virtual tokens before the text."""

from dataclasses import dataclass

import torch
from torch import nn

from intrinsic.checks import check_memory, integer
from intrinsic.errors import UserError
from intrinsic.layers.attention_sites import attach, find_attention, has_prefix
from intrinsic.layers.prompt_places import put_prompt, remove_prompt
from intrinsic.layers.prompt_share import PromptShare
from intrinsic.spaces.base import Space
from intrinsic.surgery.torch_internals import forward_hooks


@dataclass(frozen=True)
class Prompt(Space):
    """p trained embeddings, which the frozen model reads as a text that every layer also attends to, behind a gate.

    Each self-attention has attention(Q, K, V) + tanh(gate) attention(Q, K', V'), with K' and V' those that it makes of
    the prompt itself. Gates start at 0, one for each head, so that the model starts as it was; the embeddings are those
    of tokens drawn from the vocabulary. Outputs keep their length and tokens their positions and masks, so that any
    task, cache and pooling goes with it. Of an encoder and a decoder the encoder has the prompt. A call of the model
    runs the prompt once, for all rows; `merge` leaves its keys and values, as `Prefix` has them.

    Source: Lester et al. 2021, arXiv:2104.08691. There the prompt shares one softmax with the text from the start,
    moves its positions by p, and, in an encoder, reads it; here it reads itself alone, as in a causal model. The gate:
    Zhang et al. 2023, LLaMA-Adapter, arXiv:2303.16199, section 3.2.

    Args:
        length: p: p width numbers, and one for each head of each layer that attends.

    Examples:
        >>> import transformers, intrinsic
        >>> sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
        >>> model = transformers.BertForSequenceClassification(transformers.BertConfig(vocab_size=20, **sizes))
        >>> intrinsic.Subspace(model, space=intrinsic.Prompt(length=5)).dim  # 5 * 8 + 2 * 2
        44
    """

    needs = ("attention", "tokens")
    merges = False

    length: int

    def __post_init__(self) -> None:
        integer("length", self.length, 1)

    def wire(self, model: nn.Module, *, seed: int) -> dict[str, nn.Parameter]:
        """Attach the prompt and return its numbers: <embedding>.prompt.embeddings, <attention>.prefix.gate."""
        sites = find_attention(model, space="prompt")
        if any(has_prefix(module) for module in sites.values()):
            raise UserError("the model already has prefixes, which cannot be merged away: use a fresh one")
        widest = max((m.embedding_dim for m in model.modules() if isinstance(m, nn.Embedding)), default=1)
        check_memory(4 * widest * self.length, f"a prompt of length={self.length}")
        tokens = put_prompt(model, sites, length=self.length, seed=seed)
        own = {id(tokens.embeddings), *(id(share.gate) for _, share in _shares(model))}
        return {name: parameter for name, parameter in model.named_parameters() if id(parameter) in own}

    def unwire(self, model: nn.Module) -> None:
        """Take the prompt away."""
        remove_prompt(model)

    @torch.no_grad()
    def merge(self, model: nn.Module) -> None:
        """Turn what the layers make of the prompt into numbers of their own, which stay: no weight can hold them."""
        shares = _shares(model)
        if not shares:
            return
        tokens = shares[0][1].tokens
        reader = next(module for module in model.modules() if tokens.start in forward_hooks(module)[0].values())
        tokens.start(reader, ())
        prefixes = [(module, share.plain()) for module, share in shares]
        tokens.end(reader, (), None)
        remove_prompt(model)
        for module, prefix in prefixes:
            attach(module, prefix)


def _shares(model: nn.Module) -> list[tuple[nn.Module, PromptShare]]:
    """The modules that attend to a prompt, with what they have for it."""
    found = [(module, getattr(module, "prefix", None)) for module in model.modules()]
    return [(module, share) for module, share in found if isinstance(share, PromptShare)]
