"""Pages of the documentation, typed and run as they stand there.

A console block is typed, a python block is run in this process with what the page's earlier blocks have made, a block
after the path of a file is written there, and a text block is what the python block before it prints.
"""

import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from tests.support.commands import here
from tests.support.configs import ROOT

PARTS = ["conf", "intrinsic", "experiments", "hydra_plugins", "analysis", "tests", "run.py", "pyproject.toml"]
BLOCK = re.compile(r"(?:`([\w/]+\.(?:py|yaml))`:\n\n)?^```(\w+)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    path: str  # of the file that the block is, or empty
    kind: str
    text: str


def blocks(page, *kinds):
    """The code blocks of a page, of some kinds or all."""
    found = [Block(*match) for match in BLOCK.findall((ROOT / page).read_text())]
    return [block for block in found if block.kind in kinds or not kinds]


def files_of(*pages):
    """The files that pages show, by their path."""
    return {block.path: block.text for page in pages for block in blocks(page) if block.path}


def lines(text):
    """The lines of a block, those that go on in the next one joined."""
    return text.replace("\\\n", "").splitlines()


def commands(text):
    """Each command of a console block, without `python`, with the lines that it prints."""
    for part in "\n".join(lines(text)).split("$ python ")[1:]:
        command, *shown = part.splitlines()
        yield command, shown


def clone(folder):
    """A copy of the tree to run in."""
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def run(clone, *command):
    """What a command prints in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(clone)}
    done = subprocess.run(
        [sys.executable, *command], cwd=clone, capture_output=True, text=True, env=environment, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def type_here(command, capsys):
    """What a command prints that ends well, in this process."""
    capsys.readouterr()
    status = here(*command.split())
    out, err = capsys.readouterr()
    assert status == 0, err
    return out


def shape(line):
    """A line without its numbers, which depend on the machine."""
    return re.sub(r"\b[0-9a-f]{12}\b|[\d,.]*\d", "#", " ".join(line.split())).strip()


def compare(printed, shown, what):
    """The last lines of what is printed are those shown, but for numbers."""
    lines = [shape(line.removesuffix(" (skipped: already there)")) for line in printed.splitlines()]
    assert lines[-len(shown) :] == [shape(line) for line in shown], f"{what}\nprints\n{printed}"


def follow(page, clone, capsys, *, without=(), type_=type_here):
    """Do all that a page says, in its order, less the console blocks that have a word of `without`."""
    namespace, printed = {"__name__": "page"}, None
    for path, kind, text in blocks(page):
        if path:
            (clone / path).write_text(text)
        elif kind == "console" and not any(word in text for word in without):
            for command, shown in commands(text):
                compare(type_(command, capsys), shown, command)
        elif kind == "python":
            with redirect_stdout(StringIO()) as printed:
                exec(compile(text, page, "exec"), namespace)  # noqa: S102  # our own pages
        elif kind == "text" and printed is not None:
            compare(printed.getvalue(), text.splitlines(), page)
            printed = None


def has_data(pattern):
    """Whether the files of a dataset are at hand."""
    homes = [os.environ.get("INTRINSIC_DATA"), Path.home() / ".cache" / "intrinsic"]
    return any(home and list(Path(home).glob(pattern)) for home in homes)


def links(page):
    """The targets of a page's links to files, from the page's own folder."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"\]\(((?!https?:)[^)#]+)[^)]*\)", text)
