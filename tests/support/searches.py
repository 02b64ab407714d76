"""A short search for d90, and what it leaves in its folder."""

import json

SEARCH = "-m hydra/sweeper=threshold init=scratch dataset.fraction=0.3 epochs=3 batch_size=32 model.width=16 threads=1"
SEARCH += " hydra.sweeper.high=1000 hydra.sweeper.max_runs=18"
SUBSPACE = f"{SEARCH} method=subspace"


def found(folder):
    (curve,) = content(folder)["curves"]
    return curve


def content(folder):
    return json.loads((folder / "threshold.json").read_text())


def records(folder):
    return {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/record.json")}
