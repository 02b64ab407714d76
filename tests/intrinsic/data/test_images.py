"""Folders of images: what is read, how it is split, and bad folders."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from intrinsic.data.images import images
from intrinsic.data.read_image import read_image
from intrinsic.errors import UserError
from tests.support.images import PLAIN

SMALL = {"side": 4, "channels": 3, **PLAIN}
COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0)}


def paint(folder, count=12, classes=("blue", "green"), size=(6, 4)):
    """Images of one colour, each a little different, as PNG; those of a class of no colour are blue."""
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", size, (number, *COLOURS.get(name, (0, 0, 255))[1:])).save(folder / name / f"{number}.png")
    return folder


def splits(task):
    return task.train, task.validation, task.test


def test_a_folder_for_each_class(tmp_path):
    task = images(folder=paint(tmp_path / "all", 20), **SMALL)
    assert task.num_outputs == 2
    assert task.input_shape == (3, 4, 4)
    assert [len(split) for split in splits(task)] == [32, 4, 4]
    for split in splits(task):
        assert split.inputs.dtype == torch.float32
        assert split.targets.bincount().tolist() == [len(split) // 2] * 2
        assert torch.equal(split.inputs[:, 2, 0, 0], (split.targets == 0).float())  # blue
    shades = torch.cat([split.inputs[:, 0, 0, 0] * 255 + 100 * split.targets for split in splits(task)])
    assert len(shades.unique()) == 40
    again, other = (images(folder=tmp_path / "all", **{**SMALL, "seed": seed}) for seed in (0, 1))
    assert torch.equal(again.test.inputs, task.test.inputs)
    assert not torch.equal(other.test.inputs, task.test.inputs)


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_splits_by_folder(validation, tmp_path):
    for name, count in (("train", 5), (validation, 2), ("test", 1)):
        paint(tmp_path / name, count)
    (tmp_path / "train" / "blue" / ".hidden").write_text("left out")
    task = images(folder=str(tmp_path), **SMALL)
    assert [len(split) for split in splits(task)] == [10, 4, 2]


def test_an_image_is_cut_to_its_square_turned_and_resized(tmp_path):
    image = Image.new("L", (30, 10))
    image.paste(255, (10, 0, 20, 5))  # the upper half of the middle
    exif = Image.Exif()
    exif[0x0112] = 3  # taken upside down
    image.save(tmp_path / "plain.png"), image.save(tmp_path / "turned.jpg", exif=exif, quality=100)
    plain, turned = (read_image(tmp_path / name, 10, 1).float() for name in ("plain.png", "turned.jpg"))
    assert (plain[0, :4] > 250).all()
    assert (plain[0, 6:] < 5).all()
    torch.testing.assert_close(turned.flip(1), plain, atol=30, rtol=0)  # JPEG at the edge
    grey, colours = (read_image(tmp_path / "plain.png", 2, channels) for channels in (1, 3))
    assert grey.shape == (1, 2, 2)
    assert torch.equal(colours, grey.expand(3, 2, 2))


# Mistakes


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", ["png", "pgm"])
def test_of_16_bits_the_upper_8_count(suffix, channels, tmp_path):
    shades = np.array([[0, 255, 256], [20000, 40000, 65535], [300, 512, 1000]], dtype=np.uint16)
    path = tmp_path / f"x.{suffix}"
    if suffix == "png":
        Image.fromarray(shades).save(path)
    else:
        path.write_bytes(b"P5\n3 3\n65535\n" + shades.astype(">u2").tobytes())
    expected = [[0, 0, 1], [78, 156, 255], [1, 2, 3]]
    assert read_image(path, 3, channels).tolist() == [expected] * channels


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_lies_on_white(mode, tmp_path):
    drawn = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    drawn.paste((0, 0, 0, 255), (1, 1, 3, 3))  # black on nothing, which is black, too
    drawn.convert(mode).save(tmp_path / "x.png")
    found = read_image(tmp_path / "x.png", 4, 1)[0]
    assert found[1:3, 1:3].eq(0).all()
    assert found.eq(255).sum() == 12


def test_no_folder(tmp_path):
    for folder in (None, "", 3):
        with pytest.raises(UserError, match=r"need dataset.folder as the path of a folder"):
            images(folder=folder, **SMALL)
    with pytest.raises(UserError, match=r"there is no folder .*absent: need dataset.folder"):
        images(folder=tmp_path / "absent", **SMALL)
    with pytest.raises(UserError, match=r"has 0 folders: need one for each class, two at least"):
        images(folder=tmp_path, **SMALL)


def test_train_is_a_class_where_there_are_no_splits(tmp_path):
    task = images(folder=paint(tmp_path, classes=("plane", "train")), **SMALL)
    assert task.num_outputs == 2
    assert [len(split) for split in splits(task)] == [20, 2, 2]


def empty(folder):
    (folder / "green").mkdir(parents=True)


def add(name, content=b""):
    def write(folder):
        (folder / "blue" / name).write_bytes(content)

    return write


def cut(folder):
    content = (folder / "blue" / "0.png").read_bytes()
    (folder / "blue" / "0.png").write_bytes(content[: len(content) // 2])


def bomb(folder):
    Image.new("1", (20_000, 20_000)).save(folder / "blue" / "0.png")


@pytest.mark.parametrize(
    ("classes", "damage", "match"),
    [
        (["blue"], empty, "class 'green' has no images: add some to .*green, or remove it"),
        (["blue"], None, "has 1 folders: need one for each class"),
        (["blue", "green"], add("notes.txt"), r"notes.txt is no image: need .bmp, .*; remove it"),
        (["blue", "green"], add("9.png", b"text"), r"9.png is damaged or no image \(cannot identify .*\): replace"),
        (["blue", "green"], add("9.jpg"), r"9.jpg is damaged or no image"),
        (["blue", "green"], cut, r"0.png is damaged or no image"),
        (["blue", "green"], bomb, r"0.png is damaged or no image \(.*pixels"),
        (["blue", "green"], lambda folder: (folder / "train").mkdir(), r"class 'train' has no images: add some"),
        (["train", "test"], None, r"has train and no validation: add it"),
        (["train/blue", "train/green"], None, r"has train and no validation: add it"),
        (["train/blue", "val/blue", "validation/blue"], None, r"has val and validation, .*: keep one of them"),
    ],
)
def test_bad_folders(classes, damage, match, tmp_path):
    paint(tmp_path, 4, classes)
    if damage is not None:
        damage(tmp_path)
    with pytest.raises(UserError, match=match) as caught:
        images(folder=tmp_path, **SMALL)
    assert "\n" not in str(caught.value)


def test_too_few_of_a_class(tmp_path):
    with pytest.raises(UserError, match=r"class 'blue' has 2 images in .*blue: need 3 at least"):
        images(folder=paint(tmp_path, 2), **SMALL)


def test_a_class_that_a_split_lacks(tmp_path):
    for name in ("train", "val"):
        paint(tmp_path / name, 2)
    paint(tmp_path / "test", 2, ["blue"])
    (tmp_path / "test" / "red").mkdir()
    (tmp_path / "test" / "red" / "0.png").write_bytes((tmp_path / "test" / "blue" / "0.png").read_bytes())
    with pytest.raises(UserError, match=r"class 'green' is in .*train alone: need it in all"):
        images(folder=tmp_path, **SMALL)


def test_bad_knobs(tmp_path):
    with pytest.raises(UserError, match=r"need dataset.channels=3 for colours or 1 for grey, got channels=4"):
        images(folder=tmp_path, **{**SMALL, "channels": 4})
    with pytest.raises(UserError, match=r"images: need an integer side >= 1, got side=0"):
        images(folder=tmp_path, **{**SMALL, "side": 0})
    with pytest.raises(UserError, match=r"GB of memory are free"):
        images(folder=paint(tmp_path, 3), **{**SMALL, "side": 1_000_000})


def test_without_pillow(tmp_path, monkeypatch):
    paint(tmp_path, 3)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UserError, match=r"the package pillow is missing: pip install 'intrinsic-subspaces\[images\]'"):
        images(folder=tmp_path, **SMALL)
