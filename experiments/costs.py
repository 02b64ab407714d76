"""What commands would take that nobody has run, and what their steps need: a few steps of each, into a file of a page.

python -m experiments.costs docs/results/costs.json               measures every row of the file, and writes it again
python -m experiments.costs docs/results/costs.json mnist_fc lora     these rows

A row has a name, the choices and knobs of run.py (`overrides`), and how many runs they stand for (`runs`). What is
measured is what `experiments.describe` prints: parameters, bytes, the time of a step; on a CPU the CPU's own time, in
which other processes have no part: set threads=1. No run's folder is written.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

import experiments.config.resolvers  # noqa: F401  # configs name them
from experiments.run.resolve import resolve
from experiments.terminal.errors import one_line_errors
from intrinsic.errors import UserError
from intrinsic.files.atomic import write_atomically
from intrinsic.files.read_json import read_json
from intrinsic.terminal.command import command
from intrinsic.terminal.command_parser import command_parser
from intrinsic.terminal.say import say

FORMAT = 1
CONF = Path(__file__).resolve().parents[1] / "conf"
REMEDY = 'need {"format": 1, "rows": [{"name": ..., "overrides": [...], "runs": 20}]}'


def costs(file: Path, names: Sequence[str] = ()) -> Path:
    """Measure the rows of a file, and write it again; returns its path.

    Args:
        file: JSON, as the module says.
        names: of rows; none: all.

    Raises:
        UserError: if it is no such file; for a name that no row has; as `experiments.run.description.describe`.
    """
    from experiments.run.description import describe
    from experiments.run.environment import choose_device, environment

    content = read_json(file, remedy=REMEDY)
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("rows"), list):
        raise UserError(f"{file} lists no costs: {REMEDY}")
    rows = {_name(row, file): row for row in content["rows"]}
    unknown = [name for name in names if name not in rows]
    if unknown:
        raise UserError(f"no row {unknown[0]} in {file}: it has {', '.join(rows)}")
    for name in names or rows:
        row = rows[name]
        with one_line_errors(), initialize_config_dir(str(CONF), version_base="1.3"):
            config = resolve(compose("config", row["overrides"]), {}, row["overrides"])
        device = choose_device(config["device"])
        found = describe(config, of_cpu=device.type == "cpu")
        row["measured"] = {
            "seconds": round(found.seconds, 6), "steps": found.steps, "epochs": config["epochs"],
            "numbers": found.numbers, "bytes": found.bytes, "flops": sum(found.flops.values()),
            "environment": environment(device),
        }  # fmt: skip
        say(f"{name}: {1000 * found.seconds:.1f} ms a step, {found.steps} steps, {config['epochs']} epochs")
        write_atomically(file, partial(_write, _text(content)))
    return file


def _name(row: Any, file: Path) -> str:
    """The name of a row that can be measured."""
    known = {"name": str, "overrides": list, "runs": int}
    whole = isinstance(row, dict) and all(isinstance(row.get(key), kind) for key, kind in known.items())
    if not whole or not all(isinstance(override, str) for override in row["overrides"]):
        raise UserError(f"{file} has a row that is none: {REMEDY}")
    return str(row["name"])


def _write(text: str, path: Path) -> None:
    path.write_text(text)


def _text(content: dict[str, Any]) -> str:
    """A line for each row."""
    rows = ",\n".join(f"  {json.dumps(row, allow_nan=False)}" for row in content["rows"])
    return f'{{\n "format": {FORMAT},\n "rows": [\n{rows}\n ]\n}}\n'


def main(arguments: Sequence[str] | None = None) -> None:
    """Run as a command."""
    parser = command_parser("experiments.costs", __doc__)
    parser.add_argument("file", metavar="FILE", help="docs/results/costs.json")
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows to measure (default: all)")
    with command():
        given = parser.parse_args(arguments)
        say(costs(Path(given.file), given.names))


if __name__ == "__main__":
    main()
