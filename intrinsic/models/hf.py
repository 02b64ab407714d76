"""A pretrained model of transformers that classifies sequences."""

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
from intrinsic.models.hugging_face.size import check_size
from intrinsic.models.hugging_face.transformers_package import hf_import
from intrinsic.models.hugging_face.view import hf_view
from intrinsic.surgery.head import find_head, under

HEAD_STD = 0.02  # of a new head's weights, as in BERT


def hf(
    input_shape: Sequence[int],
    num_outputs: int,
    *,
    name: str | None,
    source: Any,
    classifier: str,
    precision: str,
    layers: int | None = None,
) -> nn.Module:
    """Transformers' own model for sequence classification, which also takes the inputs of our tasks.

    `model(inputs)` with (n, 2, length) integers, token ids and which text each is from, negative beyond the end of an
    input, gives logits (n, num_outputs); called in any other way it does what it always does, and its modules have
    their usual names. One output is a regression. Encoders, decoders (read at the last token) and encoder-decoders.

    Args:
        input_shape: (2, length).
        num_outputs: of the head.
        name: a folder with config.json and model.safetensors, package:<package>/<folder>, a GGUF file with its hash,
            or a hub id: see `hf_folder`.
        source: "hub": theta_0 is the pretrained weights; None or "zero": the same architecture at random weights.
        classifier: "new": a head whose weights are N(0, 0.02^2), biases zero; "folder": the pretrained one.
        precision: "bfloat16": products in half precision by autocast; "auto": that on a GPU, float32 elsewhere.
        layers: the model's first so many blocks alone; None: all.

    New weights are drawn from torch's global random state.

    Raises:
        UserError: for a name that leads to no weights in safetensors, an architecture that classifies no sequences,
            a pretrained head of other outputs, a model that knows no token to pad with, one that memory cannot hold,
            and whatever else transformers finds wrong in the folder.
    """
    integer("num_outputs", num_outputs, 1, of="hf")
    check_choices(input_shape, source=source, classifier=classifier, precision=precision, model="hf")
    if source != "hub" and classifier == "folder":
        raise UserError(f"model.classifier=folder needs init=hub, got init.source={source}: use classifier=new")
    folder = hf_folder(name, weights=source == "hub")
    what = "a model for sequence classification with weights in safetensors"
    with hf_view(folder, weights=source == "hub") as view, loading(folder, what, view=view):
        config = hf_import().AutoConfig.from_pretrained(view, trust_remote_code=False, local_files_only=True)
        cut = first_blocks(config, layers, folder)
        loaded = _load(folder, view, config, input_shape, num_outputs, source == "hub", classifier == "folder", cut)
        loaded.config.name_or_path = "" if cut else folder  # PEFT's files name the model that they go with
        model = reading(loaded, precision)
        shape = try_reading(model, input_shape[1], folder)
        if shape != (1, num_outputs):
            raise UserError(f"{folder} answers a text with {shape}, not (1, {num_outputs}): need another model")
    return model


def _load(
    folder: str,
    view: str,
    config: Any,
    input_shape: Sequence[int],
    num_outputs: int,
    pretrained: bool,
    keep_head: bool,
    cut: bool,
) -> Any:
    auto = hf_import().AutoModelForSequenceClassification
    if keep_head and config.num_labels != num_outputs:
        raise UserError(
            f"{folder} has a head of {config.num_labels} outputs, the task {num_outputs}: use model.classifier=new"
        )
    check_length(config, input_shape, folder)
    config.num_labels = num_outputs
    set_padding(config, folder)
    check_size(auto, config, folder)
    if not pretrained:
        model = auto.from_config(config, dtype=torch.float32, trust_remote_code=False)
        _draw_head(model)
        return model
    model, absent = load_weights(auto, view, config, folder, cut=cut, ignore_mismatched_sizes=not keep_head)
    head = find_head(model)
    if keep_head and any(under(key, head) for key in absent):
        raise UserError(f"{folder} has no head of its own: use model.classifier=new")
    check_backbone(model, absent, head, folder)
    if not keep_head:
        _draw_head(model)
    return model


def _draw_head(model: nn.Module) -> None:
    for module in model.get_submodule(find_head(model)).modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=HEAD_STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
