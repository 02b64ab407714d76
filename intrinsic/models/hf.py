"""A pretrained model of transformers that classifies sequences."""

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.inject import find_head, under
from intrinsic.models.hf_folder import hf_folder, hf_import

PRECISIONS = ("auto", "float32", "bfloat16")
HEAD_STD = 0.02  # of a new head's weights, as in BERT


def hf(
    input_shape: Sequence[int],
    num_outputs: int,
    *,
    name: str | None,
    source: Any,
    classifier: str,
    precision: str,
) -> nn.Module:
    """Transformers' own model for sequence classification, which also takes the inputs of our tasks.

    `model(inputs)` with (n, 2, length) integers, token ids and which text each is from, negative beyond the end of an
    input, gives logits (n, num_outputs); called in any other way it does what it always does, and its modules have
    their usual names. One output is a regression. Encoders, decoders (read at the last token) and encoder-decoders.

    Args:
        input_shape: (2, length).
        num_outputs: of the head.
        name: a folder with config.json and model.safetensors, package:<package>/<folder>, or a hub id.
        source: "hub": theta_0 is the pretrained weights; None or "zero": the same architecture at random weights.
        classifier: "new": a head whose weights are N(0, 0.02^2), biases zero; "folder": the pretrained one.
        precision: "bfloat16": products in half precision by autocast; "auto": that on a GPU, float32 elsewhere.

    New weights are drawn from torch's global random state.

    Raises:
        UserError: for a name that leads to no weights in safetensors, an architecture that classifies no sequences,
            a pretrained head of other outputs, and a model that knows no token to pad with.
    """
    if isinstance(num_outputs, bool) or not isinstance(num_outputs, int) or num_outputs < 1:
        raise UserError(f"hf: need num_outputs to be an integer >= 1, got {num_outputs!r}")
    if len(input_shape) != 2 or input_shape[0] != 2:
        raise UserError(
            f"hf: need texts cut by its tokenizer, (2, length), got {tuple(input_shape)}: take dataset=sst2"
        )
    if precision not in PRECISIONS:
        raise UserError(f"need model.precision={', '.join(PRECISIONS)}, got precision={precision!r}")
    if classifier not in ("new", "folder"):
        raise UserError(f"need model.classifier=new or folder, got classifier={classifier!r}")
    if source not in ("hub", "zero", None):
        raise UserError("model=hf starts at init=hub (its own weights), random or zero, got init.source as keys")
    if source != "hub" and classifier == "folder":
        raise UserError(f"model.classifier=folder needs init=hub, got init.source={source}: take classifier=new")
    model = _load(
        hf_folder(name, weights=source == "hub"), input_shape, num_outputs, source == "hub", classifier == "folder"
    )
    model.config.use_cache = False
    model.__class__ = _reading(type(model))  # type: ignore[arg-type]  # a class is hashable
    model.precision = precision
    return model


def _load(folder: str, input_shape: Sequence[int], num_outputs: int, pretrained: bool, keep_head: bool) -> Any:
    transformers = hf_import()
    auto = transformers.AutoModelForSequenceClassification
    with _quiet(transformers), _translated(folder):
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if keep_head and config.num_labels != num_outputs:
            raise UserError(
                f"{folder} has a head of {config.num_labels} outputs, the task {num_outputs}: take model.classifier=new"
            )
        longest = getattr(config.get_text_config(), "max_position_embeddings", None)
        if longest is not None and input_shape[1] > longest:
            raise UserError(f"{folder} reads {longest} tokens, got {input_shape[1]}: lower tokenizer.max_length")
        config.num_labels = num_outputs
        _set_padding(config, folder)
        if not pretrained:
            model = auto.from_config(config, dtype=torch.float32, trust_remote_code=False)
            _draw_head(model)
            return model
        model, report = auto.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=not keep_head,
            output_loading_info=True,
        )
    head = find_head(model)
    new = {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}
    if keep_head and any(under(key, head) for key in new):
        raise UserError(f"{folder} has no head of its own: take model.classifier=new")
    absent = sorted(key for key in new if not under(key, head) and key.startswith(f"{model.base_model_prefix}."))
    absent = [key for key in absent if ".pooler." not in key]  # many encoders are published without one
    if absent:
        raise UserError(f"{folder} lacks {len(absent)} tensors of its model, such as {absent[0]}: need its own weights")
    if not keep_head:
        _draw_head(model)
    return model


def _set_padding(config: Any, folder: str) -> None:
    """What stands beyond the end of an input: the padding token, or the end of text where there is none."""
    text = config.get_text_config()
    known = [text.pad_token_id, *(text.eos_token_id if isinstance(text.eos_token_id, list) else [text.eos_token_id])]
    token = next((token for token in known if token is not None and token >= 0), None)
    if token is None:
        raise UserError(f"{folder}: need a pad_token_id or an eos_token_id in config.json, got none: add one")
    text.pad_token_id = token


def _draw_head(model: nn.Module) -> None:
    for module in model.get_submodule(find_head(model)).modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=HEAD_STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@functools.cache
def _reading(kind: type[nn.Module]) -> type[nn.Module]:
    """The class of a model that also reads our inputs; equal in everything else, its name included."""

    @functools.wraps(kind.forward)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) != 1 or kwargs or args[0].ndim != 3:
            return kind.forward(self, *args, **kwargs)
        ids, kinds = args[0].long().unbind(1)
        used = ids >= 0
        options = {"attention_mask": used.long()}
        if getattr(self.config, "type_vocab_size", 0) > 1:  # the models that tell the two texts of a pair apart
            options["token_type_ids"] = kinds.clamp(min=0)
        padding = self.config.get_text_config().pad_token_id
        half = self.precision == "bfloat16" or (self.precision == "auto" and ids.is_cuda)
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=half):
            logits: Tensor = kind.forward(self, input_ids=ids.where(used, padding), **options).logits
        return logits.float() if half else logits

    return type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__})


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without transformers' bars and reports: what is wrong is said by errors."""
    logging = transformers.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _translated(folder: str) -> Iterator[None]:
    """Errors about what a user gave, in one line."""
    try:
        yield
    except UserError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise UserError(
            f"cannot load {folder} ({reason}): need a model for sequence classification with weights in safetensors; "
            "offline, give its folder, model.name=<folder>"
        ) from None
