"""One committed study on a page: its commands, what was spent on it, its tables and figures."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.figures.figure import Outcome, for_a_page
from analysis.results.markdown import inert, span
from analysis.results.small_study import read_small_study, records_of, unpack
from analysis.studies.config_keys import task_keys, value_text
from analysis.studies.efforts import effort_lines, efforts
from analysis.studies.records import every, load_records
from analysis.studies.selection import choose_settings
from intrinsic.errors import UserError
from intrinsic.files.records import Record

MADE = {
    "commit": "commit",
    "torch": "torch",
    "numpy": "numpy",
    "python": "Python",
    "device": "on",
    "threads": "threads",
}
COMMIT = 8  # of its letters


class Committed:
    """A study in the small form.

    Args:
        file: docs/results/NAME.json.
        home: a folder for its records and figures; nothing of it stays.

    Raises:
        UserError: as `read_small_study`.
    """

    def __init__(self, file: Path, home: Path) -> None:
        self.name = file.stem
        self.content = read_small_study(file)
        self.folder = unpack(self.content, home / "studies" / self.name)
        self.drawn: dict[str, tuple[bytes, str]] = {}  # figures by their file names: PNG, and the hash of their CSV
        self._home = home
        self._outcomes: dict[str, Outcome] = {}

    @cached_property
    def records(self) -> list[Record]:
        """Its records, in the file's order."""
        return [Record.of(record) for record in records_of(self.content)]

    def frame(self, split: str = "test", where: Sequence[str] = (), across: Sequence[str] = ()) -> pd.DataFrame:
        """See `load_records`."""
        return load_records([self.folder], where, split, across=across)[0]

    def measured(self, figure: str) -> pd.DataFrame:
        """The rows of a figure of measurements that the file keeps.

        Raises:
            UserError: if it has none.
        """
        rows = self.content.get("measured", {}).get(figure)
        if not rows:
            raise UserError(f"{self.name} keeps no rows of {figure}: commit_results --figure {figure}")
        return pd.DataFrame(rows)

    def outcome(self, command: str, **options: Any) -> Outcome:
        """What the command `analysis.COMMAND` finds in the runs; once for the same options."""
        key = f"{command} {sorted(options.items())}"
        if key not in self._outcomes:
            function = getattr(import_module(f"analysis.{command}"), command)
            out = self._home / "figures" / self.name / str(len(self._outcomes))
            with for_a_page():
                self._outcomes[key] = function(self.folder, out=out, **options)
        return self._outcomes[key]

    def figure(self, says: str, command: str, name: str = "", **options: Any) -> str:
        """The figure of a command as an image of the page, with what it shows in words.

        Args:
            says: what is to be seen.
            command: of `analysis`.
            name: of the file, where the command draws several; "" for the only one.
            options: of the command.

        Raises:
            UserError: if the command draws no such figure.
        """
        paths = [path for path in self.outcome(command, **options).paths if path.suffix == ".png"]
        found = [path for path in paths if name in ("", path.stem)]
        if len(found) != 1:
            raise UserError(f"{self.name}: need one figure {name or command}, got {len(found)} of {len(paths)}")
        file = f"{self.name}_{found[0].stem}.png"
        rows = found[0].with_suffix(".csv").read_bytes()
        self.drawn[file] = found[0].read_bytes(), hashlib.sha256(rows).hexdigest()
        return f"![{says}](figures/results/{file})"

    def commands(self) -> str:
        """The commands that made the runs, as one block."""
        return "\n".join(["```sh", *self.content["commands"], "```"])

    def facts(self) -> str:
        """What was spent, by whom: runs, minutes, seeds, effort, commit, versions, day; and the study's note."""
        frame = self.frame(across=self._tasks())
        minutes = sum(record.own_seconds or 0 for record in self.records) / 60
        seeds = span([value_text(seed) for seed in sorted(set(frame["seed"]))])
        lost = Counter(record.status for record in self.records if record.status != "finished")
        said = [f"{len(self.records)} runs" + "".join(f", {count} {status}" for status, count in lost.items())]
        said += [f"{minutes:,.1f} minutes of training in all", f"seeds {seeds}"]
        rows, _ = choose_settings(frame.assign(x=frame["trained"]), "test", self._tasks())
        said += [*map(inert, effort_lines(efforts(rows, frame))), *self._made()]
        note = self.content["note"]
        return f"*{'; '.join(said)}. [Records](results/{self.name}.json).*" + (f"\n\n{note}" if note else "")

    def _tasks(self) -> list[str]:
        """The keys in which its tasks differ: for what is said of all of them."""
        return task_keys(every([self.folder]))

    def _made(self) -> list[str]:
        lines = []
        for key, word in MADE.items():
            values = Counter(
                value_text(record.environment.get(key))
                for record in self.records
                if isinstance(record.environment, dict)
            )
            shown = [inert(value[:COMMIT] if key == "commit" else value) for value, _ in values.most_common()]
            lines.append(f"{word} {', '.join(dict.fromkeys(shown))}")
        days = sorted({str(record.started_at) for record in self.records if record.started_at})
        return [*lines, *([" to ".join(dict.fromkeys([days[0], days[-1]]))] if days else [])]
