"""Hydra's grid of runs, with a table of their results at the end."""

import os
import sys
import time
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper


class GridSweeper(BasicSweeper):
    """Every combination of the swept values, through any launcher; then one row for each run.

    A failing run does not end the sweep; it ends with exit status 1 if any failed.
    """

    def sweep(self, arguments: list[str]) -> Any:
        """Run the grid and print the table."""
        os.environ["INTRINSIC_SWEEP"] = f"{self._count(arguments)} {time.time()}"
        returns = super().sweep(arguments)
        jobs = [job for batch in returns for job in batch]
        records = [job.return_value for job in jobs]
        from experiments.table import print_table

        print_table([dict(override.lstrip("+").split("=", 1) for override in job.overrides) for job in jobs], records)
        if any(record["status"] in ("failed", "error") for record in records):
            sys.exit(1)
        return returns

    def _count(self, arguments: list[str]) -> int:
        from hydra.core.override_parser.overrides_parser import OverridesParser

        overrides = OverridesParser.create().parse_overrides(self._parse_config() + arguments)
        return sum(map(len, self.split_arguments(overrides, None)))
