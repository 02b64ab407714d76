"""The tasks of GLUE: sentences, or pairs of them, and what they say."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from intrinsic.data.glue_files import Examples, Form, read
from intrinsic.data.transforms import Transforms
from intrinsic.errors import UserError
from intrinsic.files.data_folder import data_folder
from intrinsic.rng import fan_out, permutation
from intrinsic.tasks.metrics import METRICS
from intrinsic.tasks.task import Split, Task

HELD_OUT = 0.1  # of the training examples: MRPC's share of 4,076, 408, is what GLUE holds out


@dataclass(frozen=True)
class _Kind:
    form: Form
    metrics: tuple[str, ...]  # the first one is GLUE's own, and the default


_PAIR = ("sentence1", "sentence2")
_BINARY = ("0", "1")
_ENTAILS = ("entailment", "not_entailment")
_MSR = {"train": "msr_paraphrase_train.txt", "test": "msr_paraphrase_test.txt"}
_MATCHED = {"train": "train.tsv", "dev": "dev_matched.tsv", "test": "test_matched.tsv"}
TASKS = {
    "sst2": _Kind(Form("SST-2", ("sentence",), "label", _BINARY), ("accuracy",)),
    "mrpc": _Kind(
        Form("MRPC", ("#1 String", "#2 String"), "Quality", _BINARY, sources=_MSR, hub=_PAIR), ("accuracy", "f1")
    ),
    "rte": _Kind(Form("RTE", _PAIR, "label", _ENTAILS), ("accuracy",)),
    "cola": _Kind(
        Form("CoLA", ("sentence",), "label", _BINARY, columns=("source", "label", "mark", "sentence")),
        ("matthews", "accuracy"),
    ),
    "qnli": _Kind(Form("QNLI", ("question", "sentence"), "label", _ENTAILS), ("accuracy",)),
    "qqp": _Kind(Form("QQP", ("question1", "question2"), "is_duplicate", _BINARY, torn_rows=True), ("accuracy", "f1")),
    "mnli": _Kind(
        Form(
            "MNLI",
            _PAIR,
            "gold_label",
            ("entailment", "neutral", "contradiction"),
            files=_MATCHED,
            hub=("premise", "hypothesis"),
        ),
        ("accuracy",),
    ),
    "stsb": _Kind(Form("STS-B", _PAIR, "score", ()), ("pearson", "spearman")),
}


def glue(
    *, task: str, data_dir: str | Path | None, metric: str | None, shuffle_labels: bool, fraction: float, seed: int
) -> Task:
    """Load a task of GLUE as texts, which a model's tokenizer cuts.

    The files are read from the folder `glue/<TASK>` (`data_folder` says where) in the forms in which GLUE has them,
    else taken from the hub (nyu-mll/glue, by the package datasets). Classes are numbered as on the hub; stsb is a
    regression onto its scores from 0 to 5, with squared error. MNLI is held to its matched genres.

    Where the labels of dev and test are both there, they are validation and test. GLUE hides those of most test files:
    then a tenth of the training examples, drawn by `seed`, is validation, and GLUE's dev is test; so that test data
    is never chosen by. MRPC's source files have no dev and a labelled test: validation is drawn there, too.

    `metric`: the one to choose by, None: GLUE's first. Accuracy; also f1 of class 1 (mrpc, qqp); matthews (cola);
    pearson and spearman (stsb). All of a task's metrics are reported. `shuffle_labels`, `fraction`: as `Transforms`.

    Raises:
        UserError: for another task, a metric that the task does not have, as `Transforms`, for files that can neither
            be found nor downloaded, and for a file that is damaged.

    Source: Wang et al. 2019, GLUE, arXiv:1804.07461.
    """
    if task not in TASKS:
        raise UserError(f"need task={', '.join(TASKS)}, got task={task!r}")
    form, own = TASKS[task].form, TASKS[task].metrics
    metric = own[0] if metric is None else metric
    if metric not in own:
        raise UserError(f"{task} is judged by {' or '.join(own)}, got metric={metric!r}: use one of them, or null")
    transforms = Transforms(rotate=0, shuffle_pixels=False, shuffle_labels=shuffle_labels, fraction=fraction, seed=seed)
    folder = data_folder(data_dir, "glue")
    found = read(form, task, folder)
    texts, train, validation, test = _split(found, seed, folder / form.folder)
    regression = not form.classes
    return Task(
        *transforms(
            *(Split(s.inputs, s.targets.float() if regression else s.targets.long()) for s in (train, validation, test))
        ),
        num_outputs=1 if regression else len(form.classes),
        loss=_squared_error if regression else functional.cross_entropy,
        score=_correct if own == ("accuracy",) else None,
        metric=metric,
        metrics=None if own == ("accuracy",) else _Metrics(own),
        texts=texts,
        files=[f"glue/{form.folder}/{file}" for files in (form.files, form.sources) for file in files.values()],
    )


@dataclass(frozen=True)
class _Metrics:
    """Several metrics of a whole split, by name."""

    names: tuple[str, ...]

    def __call__(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        return {name: METRICS[name](outputs, targets) for name in self.names}


def _split(found: dict[str, Examples], seed: int, home: Path) -> tuple[list[tuple[str, ...]], Split, Split, Split]:
    """All texts, and the three splits as positions in them."""
    texts: list[tuple[str, ...]] = []
    splits: dict[str, Split] = {}
    for name, rows in found.items():
        splits[name] = Split(torch.arange(len(texts), len(texts) + len(rows.texts)), torch.tensor(rows.labels))
        texts += rows.texts
    train = splits["train"]
    if len(splits) == 3:
        return texts, train, splits["dev"], splits["test"]
    if len(train) < 2:
        raise UserError(f"{home}: need 2 training examples or more, for train and validation, got {len(train)}")
    test = splits["dev"] if "dev" in splits else splits["test"]
    order = torch.from_numpy(permutation(fan_out(seed, "split"), len(train)))
    held = max(1, round(HELD_OUT * len(train)))
    validation, rest = order[:held].sort().values, order[held:].sort().values
    parts = (Split(train.inputs[some], train.targets[some]) for some in (rest, validation))
    return texts, *parts, test  # type: ignore[return-value]


def _correct(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(dim=-1) == targets).float()


def _squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.mse_loss(outputs.squeeze(-1), targets)
