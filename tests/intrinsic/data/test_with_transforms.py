"""Datasets of images have the options of `Transforms`, in code and in their YAML, and no others."""

from dataclasses import MISSING, fields
from inspect import signature

import pytest
import torch
from omegaconf import OmegaConf

from intrinsic.data.transforms import Transforms
from intrinsic.data.with_transforms import with_transforms
from intrinsic.tasks.task import Split, Task, classification
from tests.support.configs import CONF
from tests.support.images import PLAIN


@with_transforms
def ramps(*, count: int, transforms: Transforms) -> Task:
    """Images of two pixels, which tell each example."""
    inputs = torch.arange(2.0 * count).view(count, 1, 1, 2)
    splits = transforms(*(Split(inputs, torch.arange(count) % 3) for _ in range(3)))
    return classification(*splits, num_outputs=transforms.outputs(3))


def test_the_signature_has_the_options_in_place_of_the_transforms():
    own = list(signature(ramps).parameters.values())
    assert own[0].name == "count"
    assert own[1:] == list(signature(Transforms).parameters.values())


def test_the_options_change_the_splits():
    plain, changed = ramps(count=12, **PLAIN), ramps(count=12, **{**PLAIN, "fraction": 0.5, "seed": 3}, classes=2)
    expected = Transforms(**{**PLAIN, "fraction": 0.5, "seed": 3}, classes=2)(plain.train, plain.validation, plain.test)
    assert changed.num_outputs == 2
    assert torch.equal(changed.train.inputs, expected[0].inputs)
    assert torch.equal(changed.test.targets, expected[2].targets)
    assert len(changed.train) == 4


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"count": 12, **PLAIN, "rotat": 1}, "unexpected keyword argument 'rotat'"),
        ({"count": 12, **PLAIN, "transforms": None}, "unexpected keyword argument 'transforms'"),
        (PLAIN, "missing a required .*argument: 'count'"),
        ({"count": 12, **PLAIN} | {"extra": 1}, "unexpected keyword argument 'extra'"),
    ],
)
def test_other_arguments_are_refused(arguments, match):
    with pytest.raises(TypeError, match=match):
        ramps(**arguments)


def test_the_shared_yaml_has_the_options_with_their_defaults():
    shared = OmegaConf.to_container(OmegaConf.load(CONF / "images.yaml"))
    assert shared.keys() == {field.name for field in fields(Transforms)}
    assert all(shared[field.name] == field.default for field in fields(Transforms) if field.default is not MISSING)
    assert {key: shared[key] for key in PLAIN} == PLAIN
