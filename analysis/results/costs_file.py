"""What `experiments.costs` has measured: a few steps of commands, as rows of a page."""

import shlex
from functools import cached_property
from pathlib import Path
from typing import Any

from analysis.results.markdown import inert, table
from analysis.results.small_study import FORMAT
from intrinsic.errors import UserError
from intrinsic.files.read_json import read_json

AGAIN = "measure it by python -m experiments.costs"
HOUR = 3600


class CostsFile:
    """Rows of docs/results/costs.json by their names, each with `measured`.

    Raises:
        UserError: if it can't be read, is no such file, or has a row that is not measured.
    """

    def __init__(self, file: Path) -> None:
        content = read_json(file, remedy=AGAIN)
        if (
            not isinstance(content, dict)
            or content.get("format") != FORMAT
            or not isinstance(content.get("rows"), list)
        ):
            raise UserError(f"{file} lists no costs: {AGAIN}")
        self.rows: dict[str, dict[str, Any]] = {row["name"]: row for row in content["rows"]}
        bare = [name for name, row in self.rows.items() if "measured" not in row]
        if bare:
            raise UserError(f"{file}: {bare[0]} is not measured: {AGAIN}")

    @cached_property
    def hours(self) -> dict[str, str]:
        """`2.5 h`, of a core, for the runs of each row."""
        return {name: f"{_hours(row):,.2g} h" for name, row in self.rows.items() if row["runs"]}

    def measured(self, name: str, *path: str) -> Any:
        """A measured value of a row: `seconds`, or `bytes`, `total`.

        Raises:
            UserError: if there is none.
        """
        node: Any = self.rows.get(name, {}).get("measured")
        for key in path:
            node = node.get(key) if isinstance(node, dict) else None
        if node is None:
            raise UserError(f"the costs have no {name} {'.'.join(path)}: {AGAIN}")
        return node

    def ratio(self, over: str, under: str, *path: str) -> float:
        """A measured value of one row, divided by that of another."""
        return float(self.measured(over, *path)) / float(self.measured(under, *path))

    def command(self, name: str) -> str:
        """What runs a row's study."""
        return f"python run.py {shlex.join(self.rows[name]['overrides'])}"

    def table(self) -> str:
        """What nobody has run: command, runs, parameters, the time of a step, hours."""
        lines = []
        for name, row in self.rows.items():
            if row["runs"]:
                found = row["measured"]
                lines.append([
                    f"`{self.command(name)}`", f"{row['runs']}", f"{found['numbers']['full_dim']:,}",
                    f"{1000 * found['seconds']:.1f}", f"{found['steps'] * found['epochs']:,}", f"{_hours(row):,.2g}",
                ])  # fmt: skip
        heads = {"command": "<", "runs": ">", "D": ">", "ms a step": ">", "steps a run": ">", "hours of a core": ">"}
        return table(heads, lines)

    def facts(self) -> str:
        """Where the steps were measured."""
        made = {
            f"commit {inert(str(row['measured']['environment'].get('commit'))[:8])}, torch "
            f"{inert(str(row['measured']['environment'].get('torch')))}, "
            f"{row['measured']['environment'].get('threads')} thread(s)"
            for row in self.rows.values()
        }
        return (
            f"*Medians of three steps, in seconds of the CPU; {'; '.join(sorted(made))}. [Costs](results/costs.json).*"
        )


def _hours(row: dict[str, Any]) -> float:
    found = row["measured"]
    return float(found["seconds"] * found["steps"] * found["epochs"] * row["runs"] / HOUR)
