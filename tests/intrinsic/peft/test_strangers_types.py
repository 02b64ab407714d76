"""Adapters of PEFT's other types that somebody else has written: whatever they hold, one line or the right function."""

import copy
import json

import pytest
import torch
from peft import IA3Config, ShiraConfig, TinyLoraConfig, UniLoraConfig, VeraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn

import intrinsic
from tests.support.peft_models import CONFIG, WEIGHTS, stir

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # PEFT's advice about what is not saved

X = torch.linspace(-1, 1, 8).view(2, 4)
TARGETS = ["0", "1"]
TYPES = {
    "VeRA": VeraConfig(r=2, target_modules=TARGETS),
    "VeRA, drawn": VeraConfig(r=2, target_modules=TARGETS, save_projection=False),
    "SHiRA": ShiraConfig(r=1, target_modules=TARGETS),
    "TinyLoRA": TinyLoraConfig(r=2, u=3, target_modules=TARGETS),
    "TinyLoRA, drawn": TinyLoraConfig(r=2, u=3, target_modules=TARGETS, save_projection=False),
    "UniLoRA": UniLoraConfig(r=2, theta_d_length=10, target_modules=TARGETS, save_indices=True),
    "UniLoRA, drawn": UniLoraConfig(r=2, theta_d_length=10, target_modules=TARGETS),
    "IA3": IA3Config(target_modules=TARGETS, feedforward_modules=["1"]),
}
STRANGE = [None, True, -1, 0, 3, 10**6, 10**12, 10**30, 1.5, 1e308, float("nan"), "x", "(a+)+$", [], {}, [[]], {"0": 1}]
# knobs of which another value is another function: as the file says, if all else fits
FREE = {"r", "u", "projection_seed", "projection_prng_key", "proj_seed", "weight_tying", "theta_d_length"}


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3))


@pytest.fixture(params=TYPES)
def written(request, tmp_path):
    """A folder with an adapter, and what the model answers with it."""
    theirs = get_peft_model(network(), copy.deepcopy(TYPES[request.param])).eval()
    stir([p for p in theirs.parameters() if p.requires_grad])
    theirs.save_pretrained(tmp_path)
    return tmp_path, theirs(X).detach()


def loaded(folder):
    """What the model answers with the adapter; None for a line that refuses it, and the model as it was."""
    model = network()
    try:
        net = intrinsic.load_peft(model, folder)
    except intrinsic.UserError as error:
        line = str(error)
    else:
        return net(X).detach()
    assert len(line) < 700
    assert torch.equal(model(X), network()(X))
    return None


def test_strange_configurations(written):
    folder, expected = written
    config = json.loads((folder / CONFIG).read_text())
    torch.testing.assert_close(loaded(folder), expected)
    refused = 0
    for key in config:
        for value in STRANGE:
            (folder / CONFIG).write_text(json.dumps({**config, key: value}))
            found = loaded(folder)
            refused += found is None
            if found is not None and key not in FREE:
                torch.testing.assert_close(found, expected)
    assert refused > len(STRANGE)


CHANGES = {
    "integers": lambda t: t.long() if t.is_floating_point() else t + 10**6,
    "truths": torch.Tensor.bool,
    "complex": lambda t: t.to(torch.complex64),
    "fewer": lambda t: t[:0],
    "a number": lambda t: t.flatten()[0].clone(),
    "an axis more": lambda t: t[None].clone(),
    "a row": lambda t: t[:1].clone(),
    "negative": lambda t: t if t.is_floating_point() else -1 - t,
    "gone": lambda t: None,
}


@pytest.mark.parametrize("change", CHANGES)
def test_strange_tensors(written, change):
    folder, expected = written
    tensors = load_file(folder / WEIGHTS)
    for key, tensor in tensors.items():
        other = CHANGES[change](tensor)
        save_file({name: t for name, t in {**tensors, key: other}.items() if t is not None}, folder / WEIGHTS)
        found = loaded(folder)
        layer_less = other is None and key.endswith("ia3_l")  # an adapter of the other layers
        assert found is None or layer_less or torch.allclose(found, expected, atol=1e-6)  # summed in another order


def test_places_of_shira_in_any_order(tmp_path):
    theirs = get_peft_model(network(), copy.deepcopy(TYPES["SHiRA"])).eval()
    stir([p for p in theirs.parameters() if p.requires_grad])
    theirs.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    save_file({name: tensor.flip(-1).contiguous() for name, tensor in tensors.items()}, tmp_path / WEIGHTS)
    torch.testing.assert_close(loaded(tmp_path), theirs(X).detach())
