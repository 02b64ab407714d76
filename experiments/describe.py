"""What a run would train and need, before it trains: does the method fit the model, and does it fit into memory?

python -m experiments.describe method=lora model=minilm dataset=sst2       takes the choices and knobs of run.py

Builds the net, takes a few steps on the largest batch of the training data, and prints what moves and what does not,
the counts, the bytes, and the time of a step. No run's folder is written and no start is pretrained: sizes and times do
not depend on it. Data and pretrained models are read, or downloaded, as a run would.
"""

import os
import sys
from collections.abc import Sequence

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

import experiments.config.resolvers  # noqa: F401  # configs name them
from experiments.config.guarded import guarded
from experiments.config.hydra_internals import given_options
from experiments.run.description import Description
from experiments.run.resolve import members, resolve
from experiments.step.coverage import Part
from experiments.terminal.errors import one_line_errors
from experiments.terminal.lines import knobs
from experiments.terminal.print_whole import print_whole
from intrinsic.errors import UserError
from intrinsic.terminal.command import command
from intrinsic.terminal.one_line import one_line
from intrinsic.terminal.say import say

# the bytes of a `Description` in the order in which they are printed
BETWEEN = {
    "model": "frozen weights and buffers",
    "trained": "what is trained",
    "projection": "P",
    "kept": "theta_0 + P z, kept from step to step",
    "optimizer": "state of the optimiser",
    "batch": "the batch",
}
WITHIN = {
    "activations": "activations kept for the backward pass",
    "gradients": "gradients of what is trained",
    "peak": "peak of a step, beside what stays between steps",
    "total": "in all, at the peak",
}


def print_description(found: Description, *, epochs: int) -> None:
    """Print what moves, what does not, and the costs; `epochs` of training."""
    moves, stays = [], []
    for each in found.covered:
        start = (each.pattern, each.kind, f"{each.times:,}")
        if each.targeted:
            count, own = each.numbers["moves"] + each.numbers["trained"], ("moves", "trained")
            moves.append((*start, f"{count:,}", f"{each.numbers['frozen']:,}", _said(each.parts, own)))
        else:
            stays.append((*start, f"{each.numbers['frozen']:,}", _said(each.parts)))
    _print(("moves", "layer", "times", "parameters", "frozen", "each"), moves, left=(0, 1, 5))
    _print(("does not move", "layer", "times", "frozen", "each"), stays, left=(0, 1, 4))
    counts, of = found.numbers, found.bytes
    share = 100 * counts["trained"] / counts["parameters"]
    rows = [
        ("in the model, with what the space adds", f"{counts['parameters']:,}", ""),
        ("D: may move by z", f"{counts['full_dim']:,}", ""),
        ("d: trained", f"{counts['trained']:,}", f"{share:.3g} %"),
        ("of d, the head's", f"{counts['head']:,}", ""),
    ]
    _print(("parameters", "count", ""), rows, left=(0, 2))
    held = "as planned" if of["projection"] else ""
    planned = held if of["planned"] == of["projection"] else f"planned: {of['planned']:,}"
    notes = {"projection": planned, "total": "beside Python and torch themselves"}
    sizes = {label: (of[key], notes.get(key, "")) for key, label in {**BETWEEN, **WITHIN}.items()}
    sizes["trained.safetensors, on the disk"] = counts["stored_bytes"], ""
    memory = [(label, f"{size:,}", decimal(size), note) for label, (size, note) in sizes.items()]
    _print((f"memory, for inputs {_shape(found.batch)}", "bytes", "", ""), memory, left=(0, 3))
    whole = found.seconds * found.steps * epochs
    say(f"a step: {sum(found.flops.values()):,} flops without those of P, {1000 * found.seconds:.1f} ms (median of 3)")
    say(f"training: {found.steps:,} steps an epoch, {epochs:,} epochs, {whole:,.0f} s if all steps are like this one")


def _print(headings: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int]) -> None:
    """Print a table, if it has rows, and an empty line; columns but the `left` ones hold numbers."""
    if not rows:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(headings):
        justify = "left" if index in left else "right"
        table.add_column(Text(heading), justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    print_whole(table)
    say("")


def _said(parts: Sequence[Part], states: Sequence[str] = ("frozen", "tied")) -> str:
    shown = (part for part in parts if part.state in states)
    return ", ".join(f"{part.name} {_shape(part.shape)}" + " (tied)" * (part.state == "tied") for part in shown)


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "1"


@hydra.main(version_base="1.3", config_path="../conf", config_name="config")
def main(cfg: DictConfig) -> None:
    """Describe one configuration."""
    from experiments.run.description import describe

    os.chdir(HydraConfig.get().runtime.cwd)
    with command():  # before Hydra, which would say more than a line
        (change,) = members(cfg)
        config = resolve(cfg, change)
        found = describe(config)
        choices = HydraConfig.get().runtime.choices
        say(f"{knobs(config)}: {choices['model']} on {choices['dataset']}, batches of {config['batch_size']:,}")
        say("")
        print_description(found, epochs=config["epochs"])


if __name__ == "__main__":
    with one_line_errors(), guarded():
        if given_options().help:
            print(__doc__)
        if given_options().multirun:
            raise UserError("describe is of one configuration: leave out -m, and give each knob one value")
        sys.argv.append("hydra.mode=RUN")  # an experiment that is a search is one configuration here
        main()
