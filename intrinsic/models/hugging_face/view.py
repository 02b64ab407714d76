"""The part of a stranger's folder that transformers gets to see."""

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from intrinsic.errors import UserError
from intrinsic.surgery.transformers_internals import IMPLEMENTATIONS

READ = (".json", ".txt", ".model", ".spm", ".codes", ".jinja")  # texts, and sentencepiece's models
ADAPTER = "adapter_config.json"  # transformers would load that adapter, too
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARD = re.compile(r"\w[\w.-]*\.safetensors", re.ASCII)
PLAIN = (None, "eager", "sdpa")  # others name packages, or code on the hub
ELSEWHERE = (  # keys of config.json by which transformers would read other files, or replace parts of the model
    "configuration_files",
    "fusion_config",
    "kernel_config",
    "quantization_config",
    "transformers_weights",
    "distributed_config",
)
REPEATED = re.compile(r"layer|block|group|expert|depth|head", re.ASCII)
MOST = 10_000  # of what is made so many times, before anyone can count its weights


@contextmanager
def hf_view(folder: str, *, weights: bool) -> Iterator[str]:
    """A folder of links to the texts and, if asked for, the safetensors of `folder`, while it is open.

    transformers finds more in a folder than a model: pickles that an index names, files outside of it, adapters,
    distributed checkpoints, code. None of these is in the view, whatever a version of transformers looks for.
    config.json and tokenizer_config.json are written anew, without the keys that name code.

    Raises:
        UserError: for a config.json that is not JSON of a model, asks for another file, for quantised weights, a
            kernel of the hub or absurdly many layers; for an index of anything but safetensors of the folder itself;
            and for an adapter beside the weights.
    """
    path = Path(folder)
    if weights and (path / ADAPTER).exists():
        raise UserError(f"{folder} has {ADAPTER} beside its weights: merge the adapter into them, or remove it")
    with tempfile.TemporaryDirectory(prefix="intrinsic-") as name:
        view = Path(name)
        for file in _files(path):
            if file.suffix in READ and file.name not in (ADAPTER, INDEX) and file.is_file():
                (view / file.name).symlink_to(file.resolve())
        _rewrite(view, path, "config.json", _checked)
        if (view / "tokenizer_config.json").exists():
            _rewrite(view, path, "tokenizer_config.json", _without_paths)
        if weights and (path / WEIGHTS).is_file():
            (view / WEIGHTS).symlink_to((path / WEIGHTS).resolve())
        elif weights:
            _link_shards(view, path)
        yield name


def _files(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): make it readable") from None


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        UserError: for a file that cannot be read, or that holds anything else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): make it readable") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({' '.join(str(error).split())[:200]}): need the model's own") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a JSON object ({type(content).__name__}): need the model's own")
    return content


def _rewrite(view: Path, path: Path, name: str, clean: Any) -> None:
    content = clean(read_object(path / name), path / name)
    (view / name).unlink(missing_ok=True)
    (view / name).write_text(json.dumps(content), encoding="utf-8")


def _checked(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """config.json without auto_map, which names code."""
    if not isinstance(config.get("model_type"), str):
        raise UserError(f"{path} names no model_type, such as 'bert': need a config.json of transformers")
    for key, value in _entries(config):
        shown = f"{key[:80]}={str(value)[:80]!r}"
        if key in ELSEWHERE and value is not None:
            raise UserError(f"{path} has {shown}: need a model of plain weights, without it")
        if key in IMPLEMENTATIONS and value not in PLAIN:
            raise UserError(f"{path} has {shown}: need eager or sdpa, others may load code")
        if REPEATED.search(key) and type(value) is int and value > MOST:
            raise UserError(f"{path} has {shown}: need {MOST} at most")
    return {key: value for key, value in config.items() if key != "auto_map"}


def _entries(config: Any) -> Iterator[tuple[str, Any]]:
    """Keys and values at all depths."""
    inside = [config]
    while inside:
        node = inside.pop()
        if isinstance(node, dict):
            yield from node.items()
        inside += node.values() if isinstance(node, dict) else node if isinstance(node, list) else []


def _without_paths(config: dict[str, Any], _: Path) -> dict[str, Any]:
    """tokenizer_config.json without code and the paths of files, which are found by their names."""
    dropped = ("auto_map", "init_inputs", "fast_tokenizer_files")
    return {key: value for key, value in config.items() if key not in dropped and not key.endswith(("_file", "_path"))}


def _link_shards(view: Path, path: Path) -> None:
    """The parts that an index names, under names of our own: some have a meaning for transformers."""
    places = read_object(path / INDEX).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise UserError(f"{path / INDEX} has no weight_map: need the index of the parts of model.safetensors")
    names: dict[str, str] = {}
    for part in places.values():
        if not isinstance(part, str) or not SHARD.fullmatch(part) or not (path / part).is_file():
            raise UserError(
                f"{path / INDEX} names {str(part)[:200]!r}: need safetensors files of its own folder, and nothing else"
            )
        names.setdefault(part, f"part-{len(names)}.safetensors")
    for part, name in names.items():
        (view / name).symlink_to((path / part).resolve())
    content = {"metadata": {}, "weight_map": {key: names[part] for key, part in places.items()}}
    (view / INDEX).write_text(json.dumps(content), encoding="utf-8")
