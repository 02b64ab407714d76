"""A record that somebody else made, opened by run.py and experiments.*: one line, nothing called, written or logged."""

import json
import shutil

import pytest

from experiments.config.check_config import Config, check_config
from experiments.finished.reopen import reopen
from intrinsic.errors import UserError
from tests.support.commands import QUICK, assert_one_line
from tests.support.configs import files
from tests.support.measurements import measure

pytestmark = pytest.mark.usefixtures("surroundings")

STUDY = f"{QUICK} study=measured"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run, with a source task."""
    from tests.support.commands import run

    folder = tmp_path_factory.mktemp("finished")
    assert run("dataset.fraction=0.1 study=measured", folder) == 0
    (record,) = folder.rglob("record.json")
    return record.parent


@pytest.fixture
def study(finished, tmp_path):
    """A copy of the run in a study of its own, and what changes its record."""
    folder = tmp_path / "theirs" / "study" / finished.name
    shutil.copytree(finished, folder)
    shutil.copytree(finished.parent.parent / ".pretrained", tmp_path / "theirs" / ".pretrained")

    def change(path, value):
        record = json.loads((folder / "record.json").read_text())
        node = record
        *outer, last = path.split(".")
        for key in outer:
            node = node[key]
        if value is ...:
            del node[last]
        else:
            node[last] = value
        (folder / "record.json").write_text(json.dumps(record))
        return folder

    return change


def writer(place):
    """The node that wrote any file of any content."""
    path = {"_target_": "intrinsic.files.data_folder.data_folder", "data_dir": str(place), "name": "written"}
    content = {
        "_target_": "intrinsic.files.data_folder.download",
        "urls": ["data:,x"],
        "place": "x",
        "md5": "9dd4e461268c8034f5c8",
    }
    return {"_target_": "intrinsic.files.data_folder.write_data", "path": path, "content": content}


NODES = ["optim", "dataset", "space", "projection", "model", "space.targets", "init.source.optim"]


@pytest.mark.parametrize("path", [*NODES, "init.source.dataset.seed"])
def test_a_record_writes_no_file(study, tmp_path, capsys, path):
    folder = study(f"config.{path}", writer(tmp_path / "place") | ({"_partial_": True} if path == "optim" else {}))
    shutil.rmtree(tmp_path / "theirs" / ".pretrained")
    before = files(folder)
    assert measure("anatomy", folder.parent) == 2
    err = capsys.readouterr().err
    assert "intrinsic.files.data_folder.write_data is refused" in err
    assert not (tmp_path / "place").exists()
    assert files(folder) == before


MISSING = ["seed", "dataset", "model", "space", "projection", "subspace", "init", "init.source", "head", "base"]
MISSING += [
    "projection._target_",
    "model._target_",
    "space._target_",
    "space.rank",
    "dataset.seed",
    "optim",
    "l2_weights",
]


@pytest.mark.parametrize("path", [*MISSING, "method"])
def test_a_record_that_lacks_something(study, capsys, path):
    folder = study(f"config.{path}", ...)
    assert measure("anatomy", folder.parent) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert_one_line(err.splitlines()[-1] + "\n", "its config has no|cannot be made of|need .* as keys|is not a record")


KINDS = ["seed", "dataset", "model", "projection", "init", "init.source", "method", "base", "subspace", "head"]


@pytest.mark.parametrize("value", [None, True, 5, "x", [], {}, {"a": 1}, 2**70])
@pytest.mark.parametrize("path", KINDS)
def test_a_record_of_other_kinds(study, path, value):
    folder = study(f"config.{path}", value)
    try:
        reopen(folder)
    except UserError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017


def test_places_of_another_machine_are_not_used(study, tmp_path):
    study("config.output", str(tmp_path / "elsewhere"))
    study("config.data_dir", str(tmp_path / "nowhere"))
    study("config.init.source.dataset.data_dir", str(tmp_path / "nowhere"))
    folder = study("config.logger", {"_target_": "experiments.loggers.wandb_logger.WandbLogger", "project": "theirs"})
    shutil.rmtree(tmp_path / "theirs" / ".pretrained")
    with pytest.raises(UserError, match="init=pretrained needs a dataset with the knob data_dir"):
        reopen(folder)
    study("config.init.source.dataset.data_dir", ...)
    config = reopen(folder).setup.config
    assert list((tmp_path / "theirs" / ".pretrained").glob("*.safetensors"))  # beside the study
    assert not (tmp_path / "elsewhere").exists() and not (tmp_path / "nowhere").exists()  # noqa: PT018
    assert config["seed"] == 0


def test_a_finished_run_is_skipped_by_its_own_record_alone(program, finished):
    again = "dataset.fraction=0.1 study=measured"
    outputs, path = finished.parent.parent, finished / "record.json"
    kept = path.read_text()
    assert "skipped" in program(again, outputs)[1]
    for change in ({"seed": 5}, {"method": ...}, {"space": None}, {}):
        record = json.loads(kept)
        record["config"] = {k: v for k, v in (record["config"] | change).items() if v is not ...} if change else {}
        path.write_text(json.dumps(record))
        status, _, err = program(again, outputs)
        assert_one_line(err, "record.json has the config of another run: delete it to run again")
        assert status == 2
    path.write_text(kept)


def test_a_record_of_an_earlier_version_opens(study):
    for knob in ("patience", "checkpoint_seconds", "logger", "schedule", "l2_weights", "study"):
        folder = study(f"config.{knob}", ...)
    assert reopen(folder).task.metric == "accuracy"


def test_a_config_names_what_it_has_not():
    config = check_config({"init": {"source": None}, "seed": 3})
    assert config == {"init": {"source": None}, "seed": 3}
    assert isinstance(config["init"], Config)
    with pytest.raises(UserError, match=r"its config has no init\.other: train the run again"):
        config["init"]["other"]
    with pytest.raises(UserError, match="its config has no lr: train the run again"):
        config["lr"]
