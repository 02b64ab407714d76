"""A small language model at random weights and a tokenizer of one's own texts, as a folder of transformers.

python -m experiments.untrained FOLDER texts.txt
python -m experiments.untrained FOLDER texts.txt --vocabulary 4096 --width 128 --layers 4

`model=hf_lm model.name=FOLDER dataset=text` pretrains it, `experiments.export` writes what that learned, and `model=hf`
fine-tunes either of the two.
"""

from argparse import BooleanOptionalAction
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from experiments.terminal.errors import one_line_errors
from intrinsic import rng
from intrinsic.checks import check_memory, integer
from intrinsic.data.read_lines import read_lines
from intrinsic.errors import UserError
from intrinsic.files.atomic import write_folder
from intrinsic.files.expand_path import expand_path
from intrinsic.models.check_layers import check_layers
from intrinsic.models.hugging_face.transformers_package import hf_import
from intrinsic.terminal.command_parser import command_parser, options_of
from intrinsic.terminal.say import say

PAD, UNKNOWN, END = SPECIAL = ("[PAD]", "[UNK]", "[END]")  # tokens 0, 1 and 2
MOST = 2**20  # tokens of a vocabulary, and numbers of every other size


def untrained(
    files: Sequence[str | Path],
    folder: Path,
    *,
    vocabulary: int = 2048,
    width: int = 64,
    layers: int = 2,
    heads: int = 4,
    tokens: int = 48,
    lowercase: bool = True,
    seed: int = 0,
) -> Path:
    """Write config.json, model.safetensors and a tokenizer, as save_pretrained does.

    The model is a GPT-2 of `layers` blocks, `width` wide, that reads up to `tokens` tokens, its output embedding tied
    to its input embedding; weights as transformers draws them, from `seed`; no dropout, as a few epochs of a small
    model do not overfit. Its tokenizer is a byte pair encoding of words and punctuation with at most `vocabulary`
    tokens, learned from all lines of the files, and ends a text with [END], from which a classifier reads.

    Args:
        files: UTF-8, one text on each line.
        folder: to be made.
        vocabulary: tokens, the three special ones and single characters among them.
        width: of a token, divisible by `heads`.
        layers: blocks.
        heads: of attention.
        tokens: the most of a text.
        lowercase: capitals are read as small letters.
        seed: of the weights.

    Raises:
        UserError: for a size out of range, files that cannot be read or have no text, a vocabulary that is smaller than
            their characters, a folder that is there, and without transformers.

    Source: Radford et al. 2019, "Language models are unsupervised multitask learners"; Sennrich, Haddow & Birch 2016,
        arXiv:1508.07909 (byte pair encoding).
    """
    sizes = {"vocabulary": vocabulary, "width": width, "layers": layers, "heads": heads, "tokens": tokens}
    for name, value in sizes.items():
        integer(name, value, 4 if name == "tokens" else 1, MOST)
    if width % heads:
        raise UserError(f"need width divisible by heads, got width={width}, heads={heads}")
    drawn = rng.fan_out(seed, "init")
    check_layers(layers, "untrained")
    check_memory(4 * width * (layers * (12 * width + 13) + vocabulary + tokens), "the model")
    if folder.exists():
        raise UserError(f"{folder} is there already: need the name of a new folder")
    transformers = hf_import()
    cut = _tokenizer([text for file in files for text in _texts(expand_path(file))], vocabulary, lowercase)
    named = {"pad_token": PAD, "unk_token": UNKNOWN, "eos_token": END}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=cut, model_max_length=tokens, **named)
    size = {"n_embd": width, "n_layer": layers, "n_head": heads, "n_positions": tokens}
    ends = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 2}
    still = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    config = transformers.GPT2Config(vocab_size=cut.get_vocab_size(), **size, **ends, **still)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(drawn)
        model = transformers.GPT2LMHeadModel(config)

    def write(written: Path) -> None:
        model.save_pretrained(written)
        tokenizer.save_pretrained(written)

    write_folder(folder, write, remedy="give another FOLDER")
    return folder


def _texts(path: Path) -> list[str]:
    texts = [line.strip() for line in read_lines(path, remedy="need a text file") if line.strip()]
    if not texts:
        raise UserError(f"{path} has no text: need one on each line")
    return texts


def _tokenizer(texts: Sequence[str], vocabulary: int, lowercase: bool) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    cut = Tokenizer(models.BPE(unk_token=UNKNOWN))
    cut.normalizer = normalizers.Sequence([normalizers.NFKC(), *[normalizers.Lowercase()] * lowercase])
    cut.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    cut.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=list(SPECIAL), show_progress=False)
    )
    if cut.get_vocab_size() > vocabulary:
        raise UserError(
            f"the texts have {cut.get_vocab_size() - len(SPECIAL)} different characters: need a vocabulary of "
            f"{cut.get_vocab_size()} at least, got vocabulary={vocabulary}"
        )
    cut.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", pair=f"$A {END} $B:1 {END}:1", special_tokens=[(END, 2)]
    )
    return cut


def main() -> None:
    """The command."""
    parser = command_parser("experiments.untrained", __doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="to be made")
    parser.add_argument("files", nargs="+", metavar="texts.txt", help="UTF-8, one text on each line")
    for option, knob in options_of(untrained):
        kind = {"action": BooleanOptionalAction} if isinstance(knob.default, bool) else {"type": int}
        parser.add_argument(option, default=knob.default, help=f"{knob.default}, unless given", **kind)
    with one_line_errors():
        given = vars(parser.parse_args())
        say(untrained(given.pop("files"), given.pop("folder"), **given))


if __name__ == "__main__":
    main()
