"""The folder of a model that comes as a GGUF file."""

import hashlib
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from intrinsic.errors import UserError
from intrinsic.files.atomic import write_folder
from intrinsic.files.data_folder import data_folder
from intrinsic.files.lock import locked
from intrinsic.missing_package import missing_package
from intrinsic.models.hugging_face.check_gguf import check_gguf
from intrinsic.models.hugging_face.loading import loading
from intrinsic.models.hugging_face.size import check_size
from intrinsic.models.hugging_face.transformers_package import hf_import
from intrinsic.terminal.say import say

SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
FOLDER = "INTRINSIC_DATA"  # sets where it is kept


def gguf_folder(file: Path, sha256: str) -> Path:
    """The folder, as save_pretrained writes it, of a causal language model in a GGUF file.

    The weights are dequantised: float32, equal to what the quantised ones stand for. That takes half a minute for 135
    million, and is done once, into `gguf/` of $INTRINSIC_DATA, else of ~/.cache/intrinsic: four bytes for each weight.

    Args:
        file: of the model, with its tokenizer.
        sha256: of the file, hexadecimal: it says which weights theta_0 is, and that they are undamaged.

    Raises:
        UserError: for a file that cannot be read or has another hash, for one that transformers cannot load, and
            without the packages transformers and gguf.
    """
    if not SHA256.fullmatch(sha256):
        raise UserError(f"need model.name=<file>.gguf#sha256=<64 hexadecimal digits>, got {sha256[:80]!r} for {file}")
    folder = data_folder(None, "gguf") / sha256[:16]
    if not folder.exists():
        _check_hash(file, sha256)
        check_gguf(file)
        with locked(folder.parent / f".{folder.name}.lock", purpose="converts the same model", setting=FOLDER):
            if not folder.exists():
                _convert(file, folder)
    return folder


def _check_hash(file: Path, sha256: str) -> None:
    try:
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}): need a GGUF file") from None
    if found != sha256:
        raise UserError(f"{file} is another file or damaged: need SHA-256 {sha256}, got {found}: install it again")


def _convert(file: Path, folder: Path) -> None:
    transformers = hf_import()
    try:
        import gguf  # noqa: F401
    except ImportError:
        raise missing_package("gguf", "text") from None

    say(f"converting {file.name}, once, into {folder}", sys.stderr)
    what = "a GGUF file of a language model with its tokenizer"
    with tempfile.TemporaryDirectory(prefix="intrinsic-") as view, loading(str(file), what, view=view):
        (Path(view) / file.name).symlink_to(file.resolve())  # nothing else of its folder is read
        options = {"gguf_file": file.name, "trust_remote_code": False, "local_files_only": True}
        auto = transformers.AutoModelForCausalLM
        check_size(auto, transformers.AutoConfig.from_pretrained(view, **options), str(file))
        model = auto.from_pretrained(view, dtype=torch.float32, **options)
        tokenizer = transformers.AutoTokenizer.from_pretrained(view, **options)
        write_folder(folder, lambda path: _write(path, model, tokenizer), remedy=f"choose another folder with {FOLDER}")


def _write(folder: Path, model: Any, tokenizer: Any) -> None:
    """What save_pretrained would write, which refuses a model that was read from GGUF."""
    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.architectures = [type(model).__name__]
    config.name_or_path = ""
    if config.pad_token_id is None:
        config.pad_token_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    tensors = {name: parameter.detach().contiguous() for name, parameter in model.named_parameters()}  # tied ones once
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
