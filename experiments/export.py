"""A trained run as a folder of transformers: ordinary weights, config and tokenizer.

python -m experiments.export outputs/STUDY/RUN FOLDER
python -m experiments.export outputs/STUDY/RUN FOLDER --lora-rank 8     as PEFT's LoRA, of any method that merges

Anyone's from_pretrained reads it; here model=hf model.name=FOLDER starts from it, and model=hf_lm. With --lora-rank it
is what the SVD of each matrix's change leaves of it at that rank, and what that costs is printed.
"""

from pathlib import Path
from typing import Any

from experiments.finished.export_lora import export_lora
from experiments.finished.finished import finished
from experiments.finished.reopen import reopen
from experiments.run.setup import Setup
from experiments.terminal.errors import one_line_errors
from intrinsic.errors import UserError
from intrinsic.files.atomic import write_folder
from intrinsic.terminal.command_parser import command_parser
from intrinsic.terminal.say import say


def export(run: Path, folder: Path) -> Path:
    """Write the model at theta_0 + P z in its original architecture, as save_pretrained does, and its tokenizer.

    Raises:
        UserError: as `reopen`, for a model that is not transformers' own, for what no weight can hold (adapters and
            prefixes), and for a folder that is there.
    """
    record = finished(run)
    reader = None if record is None else Setup(record.config).reader
    if reader is not None and not reader.reads_text:
        raise UserError(f"{run} trained {reader.name}: need model=hf or a sibling of it")
    if folder.exists():
        raise UserError(f"{folder} is there already: need the name of a new folder")
    opened = reopen(run)
    model: Any = opened.net.eval().merge()
    added = sorted({type(part).__name__ for part in model.modules() if type(part).__module__.startswith("intrinsic.")})
    if added:
        raise UserError(
            f"method={opened.record.method} adds {', '.join(added)}, which transformers cannot hold: "
            "need a method that merges, such as lora"
        )
    model.config.use_cache = True  # off here, as training never reads it
    tokenizer = opened.setup.reader.make_tokenizer()

    def write(written: Path) -> None:
        model.save_pretrained(written)
        tokenizer.save(written)

    write_folder(folder, write, remedy="give another FOLDER")
    return folder


def main() -> None:
    """The command."""
    parser = command_parser("experiments.export", __doc__)
    parser.add_argument("run", type=Path, metavar="outputs/STUDY/RUN", help="folder of a finished run")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="to be made")
    parser.add_argument("--lora-rank", type=int, metavar="R", help="write LoRA of this rank, in PEFT's format")
    with one_line_errors():
        given = parser.parse_args()
        if given.lora_rank is None:
            say(export(given.run, given.folder))
        else:
            for line in export_lora(given.run, given.folder, given.lora_rank):
                say(line)


if __name__ == "__main__":
    main()
