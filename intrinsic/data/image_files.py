"""The image files of a folder."""

from pathlib import Path

from intrinsic.errors import UserError

SPLITS = ("train", "validation", "test")
SHORT = {"val": "validation"}
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".webp")
Files = list[tuple[Path, int]]


def image_files(folder: Path) -> tuple[list[str], dict[str, Files]]:
    """The names of the classes, and the files with the number of their class: of each split, or of all under "".

    Files and folders whose names begin with a dot are left out. A folder `train` that has no folders in it, where there
    is no other split, is a class of that name.

    Raises:
        UserError: for no folder, one that cannot be read or has no classes, some splits without the others, one split
            twice, a class that a split lacks or that has no images, and a file that is none.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}: need dataset.folder with a folder of images for each class")
    inside = {path.name: path for path in _folders(folder)}
    for short, name in SHORT.items():
        if short in inside and name in inside:
            raise UserError(f"{folder} has {short} and {name}, which is one split: keep one of them")
    inside = {SHORT.get(name, name): path for name, path in inside.items()}
    if "train" not in inside or (inside.keys().isdisjoint(SPLITS[1:]) and not _folders(inside["train"])):
        classes, files = _classes(folder)
        return classes, {"": files}
    absent = [name for name in SPLITS if name not in inside]
    if absent:
        raise UserError(f"{folder} has train and no {absent[0]}: add it, or give the folder of the classes")
    found = {name: _classes(inside[name]) for name in SPLITS}
    classes = found["train"][0]
    for name, (own, _) in found.items():
        if own != classes:
            odd = min(set(own) ^ set(classes))
            raise UserError(f"class {odd!r} is in {inside['train' if odd in classes else name]} alone: need it in all")
    return classes, {name: files for name, (_, files) in found.items()}


def _classes(folder: Path) -> tuple[list[str], Files]:
    places = _folders(folder)
    if len(places) < 2:
        raise UserError(f"{folder} has {len(places)} folders: need one for each class, two at least")
    files: Files = []
    for number, place in enumerate(places):
        own = _visible(place)
        if not own:
            raise UserError(f"class {place.name!r} has no images: add some to {place}, or remove it")
        for path in own:
            if path.suffix.lower() not in SUFFIXES or not path.is_file():
                raise UserError(f"{path} is no image: need {', '.join(SUFFIXES)}; remove it")
            files.append((path, number))
    return [place.name for place in places], files


def _folders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror}): make it readable") from None
