"""What strangers put into records, and where."""

import json

NAMES = [
    r"$\frac{1}$", r"$\undefined$ $", "a\ud800b", "\udfff", "line\nbreak\r\x00\x1b[31m", "\u202egnp.exe", "🦜" * 3,
    "</script><script>alert(1)</script>", "x" * 1_000_000, "_hidden", "", "%s%n{}", "=cmd|' /C calc'!A0", "\\frac^_{",
    "-0.5",
]  # fmt: skip
# where a string or a number of a record goes into what is drawn, printed or computed
PLACES = [
    "method", "status", "metric", "study", "run_id", "error", "format", "config.projection._target_", "config.lr",
    "config.optim.lr", "config.seed", "config.rank", "config.dim", "config.dataset._target_", "config.epochs",
    "config.head", "numbers.trained", "numbers", "last.epoch", "last", "last.test.accuracy", "config.optim.name",
    "last.validation.accuracy", "config", "config.space.alpha", "seconds", "environment", "started_at", "best",
    "config.optim", "config.lr.x",
]  # fmt: skip
VALUES = [*NAMES, 0, -1, 2**63, 2**64, 10**400, 1e308, -1e308, float("inf"), float("nan"), 5e-324, True, None, [], {},
          ["$\\frac{1}$", {"\ud800": "="}], {"accuracy": {}}, "12", 3.7]  # fmt: skip


def change(file, place, value):
    record = json.loads(file.read_text())
    node, *rest = record, *place.split(".")
    for name in rest[:-1]:
        node = node.setdefault(name, {}) if isinstance(node.get(name, {}), dict) else {}
    node[rest[-1]] = value
    file.write_text(json.dumps(record))
