"""Files in GLUE's forms, and what is read from them."""

from intrinsic.data.glue import TASKS, glue

PLAIN = {"metric": None, "shuffle_labels": False, "fraction": 1.0, "seed": 0}


FILES = {  # a file of each task as GLUE has it: the folder, the heading, a row of {n}-th texts and a label
    "sst2": ("SST-2", "sentence\tlabel", "a {n} film\t{label}", "01"),
    "mrpc": (
        "MRPC",
        "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
        '{label}\t7\t8\tHe said, "{n}\tIt said {n}.',
        "01",
    ),
    "rte": ("RTE", "index\tsentence1\tsentence2\tlabel", "{n}\tone {n}\ttwo {n}\t{label}", None),
    "cola": ("CoLA", None, "gj04\t{label}\t*\tOne more {n}.", "01"),
    "qnli": ("QNLI", "index\tquestion\tsentence\tlabel", "{n}\twhat {n}?\tthis {n}\t{label}", None),
    "qqp": (
        "QQP",
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
        "{n}\t1\t2\twhy {n}?\thow {n}?\t{label}",
        "01",
    ),
    "mnli": (
        "MNLI",
        "index\tsentence1\tsentence2\tlabel1\tgold_label",
        "{n}\tone {n}\ttwo\x85 {n}\tneutral\t{label}",
        ("entailment", "neutral", "contradiction"),
    ),
    "stsb": ("STS-B", "index\tsentence1\tsentence2\tscore", "{n}\tone {n}\ttwo {n}\t{label}", ("0.0", "2.5", "5.000")),
}


def write(data_dir, task, split, count, *, name=None, start=0, bom=False, hidden=False):
    folder, heading, row, labels = FILES[task]
    labels = labels or ("entailment", "not_entailment")
    lines = [row.format(n=start + n, label=labels[n % len(labels)]) for n in range(count)]
    if hidden:  # GLUE's test files: an index in the place of the label
        heading = "\t".join(["index", *TASKS[task].form.texts])
        lines = ["\t".join([str(n), *["secret"] * len(TASKS[task].form.texts)]) for n in range(count)]
    path = data_dir / "glue" / folder / (name or TASKS[task].form.files[split])
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "\n".join([*([heading] if heading else []), *lines]) + "\n"
    path.write_text(content, encoding="utf-8-sig" if bom else "utf-8")
    return path


def load(data_dir, task, **changes):
    return glue(task=task, data_dir=data_dir, **{**PLAIN, **changes})


def texts(task, split):
    return [task.texts[row] for row in split.inputs]
