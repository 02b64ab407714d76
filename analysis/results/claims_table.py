"""What papers claim of their methods, and what was measured here: each value from committed records."""

import re
from collections.abc import Callable

import pandas as pd

from analysis.references.hu_aghajanyan import CLAIMS
from analysis.references.literature import PUBLISHED
from analysis.results.committed import Committed
from analysis.results.costs_file import CostsFile
from analysis.results.markdown import table
from analysis.results.published_tables import interval
from analysis.studies.selection import choose_settings
from intrinsic.errors import UserError

Study = Callable[[str], Committed]
NOT_RUN = "composed, not run"
FULL, LORA = "minilm_full", "minilm_lora"  # rows of the costs
FLOAT = 4  # bytes
WHY = {
    "memory": "gradients and Adam's moments go, the activations stay: at 22.7 million parameters they are most of it",
    "checkpoint": "a ratio of counts: the model is 7,700 times smaller than GPT-3, the rank the same",
    "speed": "one process without sharding: what is saved is the product for the weights' gradients",
    "latency": "a merged model is the base's own architecture; noise of the medians is what is left",
    "rank": "a vision transformer of 202,186 weights whose inputs are turned: GPT-3 may have less to change",
    "optimum": "a small network and small sizes: 64 virtual positions are not yet 256",
    "prefix": "another task and a smaller model",
    "compression": "d90 is what our curves give, not the round number of the paper",
    "size": "three widths that read one book for three epochs; a wider one reaches more, and so has a higher target",
    "scales": "another encoder and another task",
    "pretraining": "a model 500 times smaller, which reads one book",
}
COMMANDS = {
    "memory": "python -m experiments.costs docs/results/costs.json",
    "checkpoint": "python -m experiments.costs docs/results/costs.json",
    "speed": "python -m experiments.costs docs/results/costs.json",
    "latency": "python -m experiments.latency outputs/STUDY",
    "rank": "python run.py experiment=hu2021/sizes",
    "optimum": "python run.py experiment=hu2021/sizes",
    "prefix": "python run.py experiment=hu2021/sizes method=lora_prefix rank=4 length=4",
    "compression": "python run.py experiment=li2018/mnist_fc",
    "size": "python run.py experiment=aghajanyan2020/pretraining model.name=kjv3w32,kjv3,kjv3w128",
    "scales": "python run.py experiment=aghajanyan2020/sst2 method=subspace,said",
    "pretraining": "python run.py experiment=aghajanyan2020/pretraining model.name=kjv0,kjv1,kjv3,kjv10",
}


def claims_table(study: Study, costs: CostsFile, **names: str) -> str:
    """A row for each claim: published, measured here, why they differ, the command.

    Args:
        study: the committed study of a name.
        costs: measured steps.
        names: by claim, the study that measures it; a claim without one is not run, but those of costs.

    Raises:
        UserError: for a study of no claim.
    """
    unknown = sorted(set(names) - set(CLAIMS))
    if unknown:
        raise UserError(f"no claim {unknown[0]}: there are {', '.join(CLAIMS)}")
    lines = []
    for name, claim in CLAIMS.items():
        if name in names:
            here = MEASURES[name](study(names[name]))
        elif name in OF_COSTS:
            here = OF_COSTS[name](costs)
        else:
            here = NOT_RUN
        lines.append(
            [claim.says, f"{claim.value} ({claim.of}; {claim.source})", here, WHY[name], f"`{COMMANDS[name]}`"]
        )
    heads = ("claim", "published", "measured here", "why they differ", "command")
    return table(dict.fromkeys(heads, "<"), lines)


def _memory(costs: CostsFile) -> str:
    whole = costs.ratio(FULL, LORA, "bytes", "total")
    kept = {name: _kept(costs, name) for name in (FULL, LORA)}
    return (
        f"{_mb(costs, FULL)} ÷ {_mb(costs, LORA)} = {whole:.2f}; without activations "
        f"{kept[FULL] / kept[LORA]:.2f} ({_of(costs)})"
    )


def _kept(costs: CostsFile, name: str) -> int:
    """Bytes of weights, gradients and the optimiser's state: what stays whatever the batch is."""
    return sum(costs.measured(name, "bytes", key) for key in ("model", "trained", "gradients", "optimizer"))


def _mb(costs: CostsFile, name: str) -> str:
    return f"{costs.measured(name, 'bytes', 'total') / 1e6:,.0f} MB"


def _of(costs: CostsFile) -> str:
    knobs = [knob for knob in costs.rows[LORA]["overrides"] if not knob.startswith("threads=")]
    return f"`{' '.join(knobs)}`"


def _checkpoint(costs: CostsFile) -> str:
    full, lora = (costs.measured(name, "numbers", "stored_bytes") for name in (FULL, LORA))
    return f"{full / 1e6:,.1f} MB ÷ {lora / 1e6:,.3f} MB = {full / lora:,.0f} (the head is in both)"


def _speed(costs: CostsFile) -> str:
    full, lora = (1000 * costs.measured(name, "seconds") for name in (FULL, LORA))
    flops = costs.ratio(FULL, LORA, "flops")
    return f"{full:,.0f} ms ÷ {lora:,.0f} ms = {full / lora:.2f} a step; operations {flops:.2f}"


def _points(study: Committed) -> pd.DataFrame:
    frame = study.frame()
    return choose_settings(frame.assign(x=frame["trained"]), "test")[1].assign(study=study.name)


def _scores(study: Committed, methods: tuple[str, ...]) -> str:
    """The scores of some methods at each size, in words."""
    points = _points(study)
    rows = points[points["curve"].str.partition(",")[0].isin(methods) & points["finished"].gt(0)]
    said = [
        f"{row['curve']} of {row['trained']:,}: {interval(row['mean'], row['sd'], row['finished'])}"
        for _, row in rows.sort_values(["curve", "trained"]).iterrows()
    ]
    return f"{'; '.join(said)} ({_link(study)})"


def _compression(study: Committed) -> str:
    found = study.outcome("published").table.query("baseline == 'individual'").iloc[0]
    full_dim = next(task.full_dim for task in PUBLISHED if task.task == found["task"])
    number = re.search(r"= ([\d,.]+)", str(found["measured"]))
    if number is None:
        raise UserError(f"{study.name}: need a d90 to tell its compression, got {found['measured']}")
    d90 = float(number[1].replace(",", ""))
    sizes = [f"{count * FLOAT / 1e3:,.1f} kB" for count in (full_dim, d90)]
    return f"{full_dim:,} ÷ {d90:,.0f} = {full_dim / d90:,.0f}; {' and '.join(sizes)} ({_link(study)})"


def _scales(study: Committed) -> str:
    found = study.outcome("threshold")
    ratio = found.more[0].iloc[0]
    between = next(column for column in found.more[0].columns if column.endswith("%"))
    return f"{ratio['a']} ÷ {ratio['b']} = {ratio['a / b']} {ratio[between]} ({_link(study)})"


def _thresholds(study: Committed) -> str:
    """The threshold of each model against its own full training."""
    found = study.outcome("threshold", across=["model.name"])
    lines = [line.partition(": ") for line in found.results if not line.startswith("on validation data")]
    said = [f"{curve}: {threshold.partition(' (')[0]}" for curve, _, threshold in lines if threshold.startswith("d")]
    return f"{'; '.join(said)} ({_link(study)})"


def _link(study: Committed) -> str:
    return f"[records](results/{study.name}.json)"


def _latency(study: Committed) -> str:
    """The medians over the base's time, the least and the most over batches and lengths."""
    rows = study.measured("latency")
    rows = rows[rows["side"] != "base"]
    rows["name"] = rows["side"] + rows["form"].map(lambda form: f", {form}" if form else "")
    said = []
    for name, here in rows.groupby("name", sort=False):
        low, high = (100 * (ratio - 1) for ratio in (here["ratio"].min(), here["ratio"].max()))
        said.append(f"{name} {low:+.1f} to {high:+.1f} %")
    return f"{'; '.join(said)} ({_link(study)})"


OF_COSTS: dict[str, Callable[[CostsFile], str]] = {"memory": _memory, "checkpoint": _checkpoint, "speed": _speed}
MEASURES: dict[str, Callable[[Committed], str]] = {
    "rank": lambda study: _scores(study, ("lora", "full")),
    "optimum": lambda study: _scores(study, ("lora", "adapter", "prefix")),
    "prefix": lambda study: _scores(study, ("lora", "lora_prefix")),
    "compression": _compression,
    "latency": _latency,
    "size": _thresholds,
    "scales": _scales,
    "pretraining": _thresholds,
}
