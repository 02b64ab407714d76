"""A pretrained language model of transformers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from intrinsic.errors import UserError
from intrinsic.models.hf_folder import hf_folder, hf_import
from intrinsic.models.hf_frame import (
    check_backbone,
    check_choices,
    check_length,
    load_weights,
    loading,
    reading,
    set_padding,
)
from intrinsic.models.hf_objective import Objective, choose_objective

LEAK = 1e-4  # of the effect of a token on its own logits: rounding has a hundredth of it


def hf_lm(
    input_shape: Sequence[int],
    num_outputs: int,
    *,
    name: str | None,
    source: Any,
    objective: Objective | None,
    classifier: str,
    precision: str,
) -> nn.Module:
    """Transformers' own model that predicts tokens, which also takes the inputs of our tasks.

    `model(inputs)` with (n, 2, length) integers, token ids and which text each is from, negative beyond the end of an
    input, gives logits (n, length, vocabulary): of the next token at each place (causal), or of the token that stands
    there (masked). Called in any other way it does what it always does. Its head is its output embedding, which many
    models share with their input embedding.

    Args:
        input_shape: (2, length).
        num_outputs: ids of the tokenizer; a model may know more.
        name: a folder with config.json and model.safetensors, package:<package>/<folder>, or a hub id.
        source: "hub": theta_0 is the pretrained weights; None or "zero": the same architecture at random weights.
        objective: "causal", "masked", or None: as `hf_objective` finds.
        classifier: "folder": the output layer is the folder's; "new": what the folder lacks of it is drawn.
        precision: "bfloat16": products in half precision by autocast; "auto": that on a GPU, float32 elsewhere.

    New weights are drawn from torch's global random state, as transformers draws them.

    Raises:
        UserError: as `hf` and `hf_objective`, for a tokenizer with more ids than the model, and for a causal model
            that sees later tokens.
    """
    if isinstance(num_outputs, bool) or not isinstance(num_outputs, int) or num_outputs < 1:
        raise UserError(f"hf_lm: need num_outputs to be an integer >= 1, got {num_outputs!r}")
    check_choices(input_shape, source=source, classifier=classifier, precision=precision, model="hf_lm")
    folder = hf_folder(name, weights=source == "hub")
    transformers = hf_import()
    with loading(transformers, folder, "language modelling"):
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
        objective = choose_objective(config, objective)
        text = config.get_text_config()
        if text.vocab_size < num_outputs:
            raise UserError(
                f"{folder} knows {text.vocab_size} tokens, its tokenizer {num_outputs}: need the model's own tokenizer"
            )
        check_length(config, input_shape, folder)
        set_padding(config, folder)
        if objective == "causal" and hasattr(config, "is_decoder"):
            config.is_decoder = True  # an encoder such as BERT looks back alone then
        auto = transformers.AutoModelForCausalLM if objective == "causal" else transformers.AutoModelForMaskedLM
        absent: set[str] = set()
        if source == "hub":
            model, absent = load_weights(auto, folder, config)
        else:
            model = auto.from_config(config, dtype=torch.float32, trust_remote_code=False)
    check_backbone(model, absent, None, folder)
    if classifier == "folder" and (lost := sorted(key for key in absent if ".pooler." not in key)):
        raise UserError(
            f"{folder} has no {lost[0]}, which a language model needs: take model.classifier=new to draw what is absent"
        )
    if objective == "causal":
        _check_order(model, folder)
    return reading(model, precision)


@torch.no_grad()
def _check_order(model: Any, folder: str) -> None:
    """Two texts that differ in their last token have the same logits before it."""
    training = model.training
    logits = model.eval()(input_ids=torch.tensor([[0, 1, 2, 0], [0, 1, 2, 1]])).logits
    model.train(training)
    change = (logits[0] - logits[1]).abs().amax(1)  # (length,)
    if change[:-1].max() > LEAK * change[-1]:
        raise UserError(f"{folder} sees later tokens: need another model, or model.objective=masked")
