"""A pretrained language model of transformers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.models.hugging_face.first_blocks import first_blocks
from intrinsic.models.hugging_face.folder import hf_folder
from intrinsic.models.hugging_face.frame import (
    check_backbone,
    check_choices,
    check_length,
    load_weights,
    reading,
    set_padding,
    try_reading,
)
from intrinsic.models.hugging_face.loading import loading
from intrinsic.models.hugging_face.objective import Objective, choose_objective
from intrinsic.models.hugging_face.size import check_size
from intrinsic.models.hugging_face.transformers_package import hf_import
from intrinsic.models.hugging_face.view import hf_view

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
    layers: int | None = None,
) -> nn.Module:
    """Transformers' own model that predicts tokens, which also takes the inputs of our tasks.

    `model(inputs)` with (n, 2, length) integers, token ids and which text each is from, negative beyond the end of an
    input, gives logits (n, length, vocabulary): of the next token at each place (causal), or of the token that stands
    there (masked). Called in any other way it does what it always does. Its head is its output embedding, which many
    models share with their input embedding.

    Args:
        input_shape: (2, length).
        num_outputs: ids of the tokenizer; a model may know more.
        name: a folder with config.json and model.safetensors, package:<package>/<folder>, a GGUF file with its hash,
            or a hub id: see `hf_folder`.
        source: "hub": theta_0 is the pretrained weights; None or "zero": the same architecture at random weights.
        objective: "causal", "masked", or None: as `hf_objective` finds.
        classifier: "folder": the output layer is the folder's; "new": what the folder lacks of it is drawn.
        precision: "bfloat16": products in half precision by autocast; "auto": that on a GPU, float32 elsewhere.
        layers: the model's first so many blocks alone; None: all.

    New weights are drawn from torch's global random state, as transformers draws them.

    Raises:
        UserError: as `hf` and `hf_objective`, for a tokenizer with more ids than the model, and for a causal model
            that sees later tokens.
    """
    integer("num_outputs", num_outputs, 1, of="hf_lm")
    check_choices(input_shape, source=source, classifier=classifier, precision=precision, model="hf_lm")
    folder = hf_folder(name, weights=source == "hub")
    what = "a model for language modelling with weights in safetensors"
    with hf_view(folder, weights=source == "hub") as view, loading(folder, what, view=view):
        config = hf_import().AutoConfig.from_pretrained(view, trust_remote_code=False, local_files_only=True)
        cut = first_blocks(config, layers, folder)
        loaded, absent, causal = _load(folder, view, config, input_shape, num_outputs, source == "hub", objective, cut)
        check_backbone(loaded, absent, None, folder)
        if classifier == "folder" and (lost := sorted(key for key in absent if ".pooler." not in key)):
            raise UserError(
                f"{folder} has no {lost[0]}, which a language model needs: use model.classifier=new to draw what is "
                "absent"
            )
        if causal:
            _check_order(loaded, folder)
        loaded.config.name_or_path = "" if cut else folder  # PEFT's files name the model that they go with
        model = reading(loaded, precision)
        shape = try_reading(model, input_shape[1], folder)
        if shape[:2] != (1, input_shape[1]) or shape[2:] < (num_outputs,):
            raise UserError(f"{folder} answers a text with {shape}: need a logit for each token at each place")
    return model


def _load(
    folder: str,
    view: str,
    config: Any,
    input_shape: Sequence[int],
    num_outputs: int,
    pretrained: bool,
    objective: Objective | None,
    cut: bool,
) -> tuple[Any, set[str], bool]:
    """The model, the names of the weights that its folder lacks, and whether it predicts the next token."""
    transformers = hf_import()
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
    check_size(auto, config, folder)
    if pretrained:
        return *load_weights(auto, view, config, folder, cut=cut), objective == "causal"
    return auto.from_config(config, dtype=torch.float32, trust_remote_code=False), set(), objective == "causal"


@torch.no_grad()
def _check_order(model: Any, folder: str) -> None:
    """Two texts that differ in their last token have the same logits before it."""
    training = model.training
    logits = model.eval()(input_ids=torch.tensor([[0, 1, 2, 0], [0, 1, 2, 1]])).logits
    model.train(training)
    change = (logits[0] - logits[1]).abs().amax(1)  # (length,)
    if change[:-1].max() > LEAK * change[-1]:
        raise UserError(f"{folder} sees later tokens: need another model, or model.objective=masked")
