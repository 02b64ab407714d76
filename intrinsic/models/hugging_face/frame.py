"""The frame of all models of transformers: how they are loaded, and how they read our inputs."""

import functools
import inspect
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.surgery.head import under

LAYER = re.compile(r"\.(\d+)\.", re.ASCII)
CACHED = {"attention_mask", "position_ids", "use_cache"}  # what a model takes that keeps keys and values,
CACHES = ("cache", "past_key_values")  # and the name of these, in the order of transformers' versions, the last first
PRECISIONS = ("auto", "float32", "bfloat16")


def check_choices(input_shape: Sequence[int], *, source: Any, classifier: str, precision: str, model: str) -> None:
    """Check what `model=hf` and its siblings take.

    Raises:
        UserError: for a choice that there is not, and inputs that are no tokens.
    """
    if len(input_shape) != 2 or input_shape[0] != 2:
        remedy = "use dataset=sst2" if model == "hf" else "use dataset=text"
        raise UserError(f"{model}: need texts cut by its tokenizer, (2, length), got {tuple(input_shape)}: {remedy}")
    if precision not in PRECISIONS:
        raise UserError(f"need model.precision={', '.join(PRECISIONS)}, got precision={precision!r}")
    if classifier not in ("new", "folder"):
        raise UserError(f"need model.classifier=new or folder, got classifier={classifier!r}")
    if source not in ("hub", "zero", None):
        raise UserError(f"model={model} starts at init=hub (its own weights), random or zero, got init.source as keys")


def check_length(config: Any, input_shape: Sequence[int], folder: str) -> None:
    """Check that the model reads inputs of this length.

    Raises:
        UserError: if it does not.
    """
    longest = getattr(config.get_text_config(), "max_position_embeddings", None)
    if longest is not None and 0 < longest < input_shape[1]:  # XLNet, which knows no limit, says -1
        raise UserError(f"{folder} reads {longest} tokens, got {input_shape[1]}: lower tokenizer.max_length")


def set_padding(config: Any, folder: str) -> None:
    """What stands beyond the end of an input: the padding token, or the end of text where there is none.

    Raises:
        UserError: if there is neither.
    """
    text = config.get_text_config()
    known = [text.pad_token_id, *(text.eos_token_id if isinstance(text.eos_token_id, list) else [text.eos_token_id])]
    token = next((token for token in known if token is not None and token >= 0), None)
    if token is None:
        raise UserError(f"{folder}: need a pad_token_id or an eos_token_id in config.json, got none: add one")
    text.pad_token_id = token


def load_weights(
    auto: Any, view: str, config: Any, folder: str, *, cut: bool = False, **options: Any
) -> tuple[Any, set[str]]:
    """The model of an architecture with the weights in a view of its folder, and the names of those that it lacks.

    `cut`: the config is of the first blocks alone, those that follow stay out.

    Raises:
        UserError: if the model has no place for a layer of them: it would be another model, without a word.
    """
    model, report = auto.from_pretrained(
        view,
        config=config,
        dtype=torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
        **options,
    )
    inside = f"{model.base_model_prefix}."
    blocks = config.num_hidden_layers if cut else math.inf
    extra = sorted(
        key
        for key in report["unexpected_keys"]
        if key.startswith(inside) and (number := LAYER.search(key)) and int(number[1]) < blocks
    )
    if extra:
        raise UserError(
            f"{folder} has {len(extra)} tensors of layers that its config.json has no place for, such as {extra[0]!r}: "
            "need the model's own config.json"
        )
    return model, {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}


def check_backbone(model: Any, absent: set[str], head: str | None, folder: str) -> None:
    """Check that nothing is absent of the model without its head, but for a pooler: many are published without one.

    Raises:
        UserError: if something is.
    """
    inside = f"{model.base_model_prefix}."
    lost = sorted(key for key in absent if key.startswith(inside) and not (head is not None and under(key, head)))
    lost = [key for key in lost if ".pooler." not in key]
    if lost:
        raise UserError(f"{folder} lacks {len(lost)} tensors of its model, such as {lost[0]}: need its own weights")


def reading(model: Any, precision: str) -> nn.Module:
    """The model, which now also takes (n, 2, length) integers and then returns its logits; its class keeps its name."""
    model.config.use_cache = False
    told = getattr(model.config, "type_vocab_size", 0) > 1  # the models that tell the two texts of a pair apart
    model.__class__ = _reading(type(model), told)  # type: ignore[arg-type]  # a class is hashable
    model.precision = precision
    return model


def try_reading(model: Any, length: int, folder: str) -> tuple[int, ...]:
    """The shape of what a model made by `reading` says of a text as long as those to come, the last place padded.

    Sizes and token ids in its config.json that do not fit end here in an exception, and not in the middle of a run.

    Raises:
        UserError: for an answer that is not finite.
    """
    ends = model.config.get_text_config().eos_token_id
    end = next((end for end in (ends if isinstance(ends, list) else [ends]) if end is not None), 0)
    ids = [*[0] * length, end, -1][-length:] if length > 1 else [end]  # T5 reads its answer at the end of text
    training = model.training
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        outputs: Tensor = model.eval()(torch.tensor([[ids, [min(token, 0) for token in ids]]]))
    model.train(training)
    if not outputs.isfinite().all():
        raise UserError(f"{folder} returns NaN or infinity for a text: its weights or its config.json are damaged")
    return tuple(outputs.shape)


@functools.cache
def _reading(kind: type[nn.Module], told: bool) -> type[nn.Module]:
    """The class of a model that also reads our inputs; equal in everything else, its name included.

    `told`: it reads which of two texts a token is from.
    """

    @functools.wraps(kind.forward)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) != 1 or kwargs or args[0].ndim != 3:
            return kind.forward(self, *args, **kwargs)
        ids, kinds = args[0].long().unbind(1)
        used = ids >= 0
        options = {"attention_mask": used.long()}
        if told:
            options["token_type_ids"] = kinds.clamp(min=0)
        padding = self.config.get_text_config().pad_token_id
        half = self.precision == "bfloat16" or (self.precision == "auto" and ids.is_cuda)
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=half):
            logits: Tensor = kind.forward(self, input_ids=ids.where(used, padding), **options).logits
        return logits.float() if half else logits

    own = {"forward": forward, "__module__": kind.__module__}
    known = inspect.signature(kind.forward).parameters
    kept = next((name for name in CACHES if name in known), None)
    if kept is not None and set(known) >= CACHED:
        own["next_logits"] = _next_logits(kind, kept)
    return type(kind.__name__, (kind,), own)


def _next_logits(kind: type[nn.Module], kept: str) -> Callable[..., tuple[Tensor, Any]]:
    last = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(kind.forward).parameters else {}

    def next_logits(self: Any, ids: Tensor, used: Tensor, cache: Any) -> tuple[Tensor, Any]:
        """The logits after the last of `ids` (n, length), which go on from `cache`: (n, vocabulary), the cache.

        `used` (n, length seen in all): False for padding, which stands before a text.
        """
        places = (used.long().cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        half = self.precision == "bfloat16" or (self.precision == "auto" and ids.is_cuda)
        given = {"attention_mask": used.long(), "position_ids": places, kept: cache, "use_cache": True}
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=half):
            found = kind.forward(self, input_ids=ids, **given, **last)
        return found.logits[:, -1].float(), getattr(found, kept)

    return next_logits
