"""A record in the form in which PEFT publishes its comparison of methods.

Source: the files method_comparison/*/results/*.json of github.com/huggingface/peft, as of August 2026.
"""

from typing import Any

from intrinsic.files.records import Record


def peft_result(record: Record) -> dict[str, Any]:
    """Run, training and versions of a run that finished, under PEFT's keys; what a record does not say is null.

    Scores are named by their split: `test accuracy` of the last entry of `metrics`, `valid accuracy` of each epoch,
    which stands where PEFT has a step. Memory is the peak alone, and only of a GPU.
    """
    return {"run_info": _run(record), "train_info": _training(record), "meta_info": _versions(record)}


def _run(record: Record) -> dict[str, Any]:
    config = record.config
    optim = dict(_keys(config.get("optim")))
    method = {"peft_type": record.method.upper(), "r": config.get("rank"), "dim": config.get("dim")}
    return {
        "created_at": record.started_at,
        "total_time": record.seconds,
        "experiment_name": f"{record.method}/{record.run_id}",
        "peft_branch": None,
        "train_config": {
            "model_id": _name(config.get("model")),
            "dtype": config.get("base"),
            "max_seq_length": _keys(config.get("tokenizer")).get("max_length"),
            "batch_size": config.get("batch_size"),
            "epochs": config.get("epochs"),
            "seed": config.get("seed"),
            "optimizer_type": str(optim.pop("_target_", "")).rpartition(".")[2],
            "optimizer_kwargs": {key: value for key, value in optim.items() if not key.startswith("_")},
            "lr_scheduler": _name(config.get("schedule")),
        },
        "peft_config": None if record.method == "full" else {**method, "space": config.get("space")},
        "error_msg": record.error or "",
    }


def _training(record: Record) -> dict[str, Any]:
    history = record.history if isinstance(record.history, list) else []
    metrics = [_scores(epoch, {"validation": "valid"}) for epoch in history]
    metrics.append(_scores(record.last, {"validation": "valid", "test": "test"}))
    metrics[-1] |= {"train samples": None, "train total tokens": None}
    gpu = str(_keys(record.environment).get("device")) != "cpu"
    return {
        "accelerator_memory_reserved_avg": None,
        "accelerator_memory_max": record.peak_memory_bytes if gpu else None,
        "accelerator_memory_reserved_99th": None,
        "train_time": record.seconds,
        "file_size": record.count("stored_bytes"),
        "num_trainable_params": record.count(),
        "num_total_params": None,
        "status": "success" if record.status == "finished" else "failed",
        "metrics": metrics,
    }


def _scores(epoch: Any, splits: dict[str, str]) -> dict[str, Any]:
    epoch = _keys(epoch)
    named = {
        f"{word} {name}": value for split, word in splits.items() for name, value in _keys(epoch.get(split)).items()
    }
    return {"step": epoch.get("epoch"), "train loss": epoch.get("train_loss"), **named}


def _keys(node: Any) -> dict[str, Any]:
    """A mapping of a file that may hold anything in its place."""
    return node if isinstance(node, dict) else {}


def _versions(record: Record) -> dict[str, Any]:
    made = _keys(record.environment)
    dataset = record.config.get("dataset")
    packages = dict.fromkeys(("transformers", "peft", "datasets", "bitsandbytes"))
    versions = {**packages, "torch": made.get("torch"), "intrinsic": made.get("intrinsic")}
    return {
        "model_info": None,
        "dataset_info": {_name(dataset): {"sha": None, "created_at": None}},
        "package_info": {
            **{f"{name}-version": version for name, version in versions.items()},
            "intrinsic-commit-hash": made.get("commit"),
        },
        "system_info": {"system": made.get("platform"), "accelerator": made.get("device")},
        "pytorch_info": "",
    }


def _name(node: Any) -> str | None:
    """What a node of a config is called: a task's or a model's name, else its class."""
    if not isinstance(node, dict):
        return None
    named = [node[key] for key in ("task", "name") if isinstance(node.get(key), str)]
    return named[0] if named else str(node.get("_target_", "")).rpartition(".")[2] or None
