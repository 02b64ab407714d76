"""Options of the image datasets, against naive versions."""

import math

import numpy as np
import pytest
import torch

from intrinsic.data.transforms import Transforms
from intrinsic.errors import UserError
from intrinsic.tasks.task import Split
from tests.support.images import PLAIN


def three_splits(shape=(1, 5, 5), sizes=(40, 20, 20)):
    values = torch.rand(sum(sizes), *shape, generator=torch.Generator().manual_seed(0))
    return [
        Split(inputs, torch.arange(len(inputs)) % 10) for inputs in values.split(sizes)
    ]  # image and label tell each example apart


def transformed(**options):
    return Transforms(**{**PLAIN, **options})(*three_splits())


def naive_rotation(image, degrees):
    """Bilinear sampling of (side, side) about its centre, zero outside."""
    side = len(image)
    centre, angle = (side - 1) / 2, math.radians(degrees)
    result = np.zeros((side, side))
    for row in range(side):
        for column in range(side):
            up, right = centre - row, column - centre  # counter-clockwise: look up where the pixel came from
            y = centre - (up * math.cos(angle) - right * math.sin(angle))
            x = centre + (right * math.cos(angle) + up * math.sin(angle))
            if not (0 <= y <= side - 1 and 0 <= x <= side - 1):
                continue
            for i in range(side):
                for j in range(side):
                    result[row, column] += max(0, 1 - abs(y - i)) * max(0, 1 - abs(x - j)) * image[i, j]
    return result


@pytest.mark.parametrize("degrees", [30, -75.5, 200])
def test_rotation_is_bilinear_and_counter_clockwise(degrees):
    before, after = three_splits()[1], transformed(rotate=degrees)[1]
    expected = np.stack([naive_rotation(image[0].double().numpy(), degrees)[None] for image in before.inputs])
    np.testing.assert_allclose(after.inputs.numpy(), expected, atol=1e-6)  # float32 against float64
    assert after.inputs.dtype == torch.float32


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180.0, 2), (-90, 3), (360, 0), (450, 1)])
def test_quarter_turns_are_exact(degrees, turns):
    for before, after in zip(three_splits(), transformed(rotate=degrees), strict=True):
        assert np.array_equal(after.inputs.numpy(), np.rot90(before.inputs.numpy(), turns, axes=(-2, -1)))
        assert torch.equal(after.targets, before.targets)


def test_pixels_are_shuffled_alike_in_all_images():
    flat = [split.inputs.flatten(1) for split in three_splits((3, 4, 4))]
    shuffled = Transforms(**{**PLAIN, "shuffle_pixels": True})(*three_splits((3, 4, 4)))
    first = shuffled[0].inputs.flatten(1)
    order = [flat[0][0].tolist().index(value) for value in first[0].tolist()]
    assert sorted(order) == list(range(48))
    assert order != list(range(48))
    for before, after in zip(flat, shuffled, strict=True):
        assert torch.equal(after.inputs.flatten(1), before[:, order])
        assert after.inputs.shape[1:] == (3, 4, 4)


def test_labels_are_permuted_in_each_split_by_its_own_permutation():
    before, after = three_splits(), transformed(shuffle_labels=True)
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old.inputs, new.inputs)
        assert not torch.equal(old.targets, new.targets)
        assert torch.equal(old.targets.sort().values, new.targets.sort().values)
    assert not torch.equal(after[1].targets, after[2].targets)


def test_fraction_keeps_nested_subsets_of_the_training_examples():
    def examples(fraction, **options):
        train, validation, test = transformed(fraction=fraction, **options)
        assert (len(validation), len(test)) == (20, 20)
        return {(row.tobytes(), int(label)) for row, label in zip(train.inputs.numpy(), train.targets, strict=True)}

    for options in ({}, {"shuffle_labels": True}):
        tenth, half, whole = (examples(fraction, **options) for fraction in (0.1, 0.5, 1.0))
        assert [len(tenth), len(half), len(whole)] == [4, 20, 40]
        assert tenth < half < whole
    first = three_splits()[0].inputs[:20].numpy()
    assert {image for image, _ in examples(0.5)} != {row.tobytes() for row in first}  # a random half


def test_label_noise_gives_nested_parts_of_the_training_labels_another_example_s():
    before, shuffled = three_splits(), transformed(shuffle_labels=True)[0]
    train, *held = transformed(label_noise=1.0)
    assert torch.equal(train.targets, shuffled.targets)
    assert all(torch.equal(a.targets, b.targets) for a, b in zip(held, before[1:], strict=True))
    fifth, half = (transformed(label_noise=noise)[0].targets for noise in (0.2, 0.5))
    changed = [(targets != before[0].targets).nonzero().flatten().tolist() for targets in (fifth, half)]
    assert 0 < len(changed[0]) <= 8  # a shuffled label may be the right one
    assert len(changed[0]) < len(changed[1]) <= 20
    assert set(changed[0]) < set(changed[1])
    for targets, places in zip((fifth, half), changed, strict=True):
        assert torch.equal(targets[places], shuffled.targets[places])


def test_the_first_classes_are_kept_in_all_splits():
    for before, after in zip(three_splits(), transformed(classes=3), strict=True):
        kept = [row for row, label in enumerate(before.targets.tolist()) if label < 3]
        assert torch.equal(after.inputs, before.inputs[kept])
        assert torch.equal(after.targets, before.targets[kept])
    assert Transforms(**PLAIN, classes=3).outputs(10) == 3
    assert Transforms(**PLAIN).outputs(10) == 10
    with pytest.raises(UserError, match="need classes <= 10, which the data have, got classes=11"):
        Transforms(**PLAIN, classes=11).outputs(10)


def test_classes_that_no_example_has():
    splits = [Split(split.inputs, split.targets + 5) for split in three_splits()]
    with pytest.raises(UserError, match="classes=4 keeps none of 40 train examples: use more"):
        Transforms(**PLAIN, classes=4)(*splits)


def test_seed_decides_and_options_are_independent():
    options = {"shuffle_pixels": True, "shuffle_labels": True, "fraction": 0.5}
    train = transformed(**options, seed=0)[0]
    other = transformed(**options, seed=1)[0]
    assert not torch.equal(train.targets, other.targets)
    assert not torch.equal(train.inputs, other.inputs)
    assert torch.equal(train.targets, transformed(shuffle_labels=True, fraction=0.5)[0].targets)
    assert torch.equal(train.inputs, transformed(shuffle_pixels=True, fraction=0.5)[0].inputs)


def test_given_tensors_are_not_written_to():
    given = three_splits()
    Transforms(rotate=45, shuffle_pixels=True, shuffle_labels=True, fraction=0.5, seed=0)(*given)
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(given, three_splits(), strict=True))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rotate": float("nan")}, "need rotate as a finite number of degrees, got rotate=nan"),
        ({"rotate": True}, "need rotate as a finite number"),
        ({"rotate": "left"}, "got rotate='left'"),
        ({"shuffle_pixels": 1}, "need shuffle_pixels to be true or false, got shuffle_pixels=1"),
        ({"shuffle_labels": "no"}, "need shuffle_labels to be true or false"),
        ({"fraction": 0}, "need 0 < fraction <= 1, got fraction=0"),
        ({"fraction": 1.5}, "need 0 < fraction <= 1"),
        ({"fraction": float("nan")}, "need 0 < fraction <= 1"),
        ({"fraction": True}, "got fraction=True"),
        ({"fraction": 0.001}, "fraction=0.001 keeps none of 40 training examples"),
        ({"label_noise": 1.5}, "need 0 <= label_noise <= 1, got label_noise=1.5"),
        ({"label_noise": True}, "got label_noise=True"),
        ({"label_noise": 0.5, "shuffle_labels": True}, "shuffle_labels=true leaves no label for label_noise=0.5"),
        ({"classes": 1}, "need an integer classes >= 2, got classes=1"),
        ({"seed": -1}, "need an integer seed >= 0, got seed=-1"),
    ],
)
def test_bad_options(options, match):
    with pytest.raises(UserError, match=match):
        transformed(**options)


def test_quarter_turns_need_square_images():
    with pytest.raises(UserError, match="rotate=90 needs square images, got 2 x 3"):
        Transforms(**{**PLAIN, "rotate": 90})(*three_splits((1, 2, 3)))
