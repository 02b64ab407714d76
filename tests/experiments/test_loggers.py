"""What TensorBoard and MLflow were told, read back with their own readers."""

import json
import os
import subprocess
import sys

import pytest

from experiments.run.state import RunState
from experiments.run.train import train
from intrinsic.errors import UserError
from tests.support.commands import QUICK, run
from tests.support.configs import composed
from tests.support.servers import free_port, wait_for

SWEEP = f"-m rank=1,2 epochs=3 study=logged {QUICK}"
EPOCHS = [1, 2, 3]


def records(output):
    return {path.parent: json.loads(path.read_text()) for path in (output / "logged").glob("*/record.json")}


def scalars(folder):
    """(epoch, value) of each number, as TensorBoard shows them."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(folder / "tensorboard")).Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def session(folder, moment):
    """What TensorBoard's page HPARAMS is told at the start, or the end."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    plugin = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")
    found = accumulator.EventAccumulator(str(folder / "tensorboard")).Reload()
    content = found.SummaryMetadata(f"_hparams_/session_{moment}_info").plugin_data.content
    return getattr(plugin.HParamsPluginData.FromString(content), f"session_{moment}_info")


def client(address):
    mlflow = pytest.importorskip("mlflow", reason="pip install -e '.[mlflow]'")
    return mlflow.MlflowClient(address)


def logged(store, experiment="logged"):
    """The runs of an experiment of MLflow by name."""
    found = store.search_runs([store.get_experiment_by_name(experiment).experiment_id])
    return {each.info.run_name: each for each in found}


def told(store, each, name):
    return [(metric.step, metric.value) for metric in store.get_metric_history(each.info.run_id, name)]


def train_until(error, config, folder):
    """Train; the run ends in `error` after it has told its logger of epoch 2, and before that epoch's checkpoint."""
    usual = RunState.add

    def add(self, epoch):
        if epoch.epoch == 2:
            raise error
        usual(self, epoch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunState, "add", add)
        with pytest.raises(type(error), match="now"):
            train(config, folder)


def config_of(name, folder, **more):
    config = composed("init=scratch", "dataset.fraction=0.1", "epochs=3", f"logger={name}", "checkpoint_seconds=0")
    return config | {"output": str(folder), "study": "stopped"} | more


@pytest.fixture(autouse=True)
def nowhere_else(surroundings, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.mark.slow
def test_a_sweep_in_tensorboard(tmp_path):
    pytest.importorskip("tensorboard", reason="pip install -e '.[tensorboard]'")
    assert run(f"{SWEEP} logger=tensorboard", tmp_path) == 0
    found = records(tmp_path)
    assert len(found) == 2
    for folder, record in found.items():
        values = scalars(folder)
        assert values["test/accuracy"][-1] == (
            3,
            pytest.approx(record["last"]["test"]["accuracy"], rel=1e-6),
        )  # float32
        assert [step for step, _ in values["validation/loss"]] == EPOCHS
        assert values["train/loss"][-1][1] == pytest.approx(record["last"]["train_loss"], rel=1e-6)
        start = session(folder, "start")
        assert (start.group_name, start.hparams["rank"].number_value) == ("logged", record["config"]["rank"])
        assert start.hparams["optim.fused"].bool_value is True
        assert session(folder, "end").status == 1  # STATUS_SUCCESS


@pytest.mark.slow
def test_a_stopped_run_goes_on_in_tensorboard(tmp_path):
    pytest.importorskip("tensorboard", reason="pip install -e '.[tensorboard]'")
    config, folder = config_of("tensorboard", tmp_path), tmp_path / "stopped" / "0123456789ab"
    train_until(KeyboardInterrupt("now"), config, folder)
    assert session(folder, "end").status == 2  # STATUS_FAILURE
    assert [step for step, _ in scalars(folder)["train/loss"]] == [1, 2]
    record = train(config, folder)
    assert [step for step, _ in scalars(folder)["train/loss"]] == EPOCHS
    assert scalars(folder)["test/accuracy"][-1][1] == pytest.approx(record.score("test"), rel=1e-6)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep in MLflow's default place, a database that takes seconds to make: its outputs and its client."""
    pytest.importorskip("mlflow", reason="pip install -e '.[mlflow]'")
    output = tmp_path_factory.mktemp("outputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert run(f"{SWEEP} logger=mlflow", output) == 0
    return output, client(f"sqlite:///{output / 'mlflow.db'}")


def check_sweep(output, store):
    """Check that a store has what the records have."""
    runs, found = logged(store), records(output)
    assert set(runs) == {folder.name for folder in found}
    assert len(found) == 2
    for folder, record in found.items():
        each = runs[folder.name]
        assert each.data.metrics["test/accuracy"] == record["last"]["test"]["accuracy"]
        assert [step for step, _ in told(store, each, "validation/loss")] == EPOCHS
        assert each.data.params["rank"] == str(record["config"]["rank"])
        assert each.info.status == "FINISHED"


@pytest.mark.slow
def test_a_sweep_in_mlflow(swept):
    output, store = swept
    check_sweep(output, store)
    assert not (output / "mlruns").exists()


@pytest.mark.slow
def test_a_stopped_run_goes_on_in_mlflow(swept, tmp_path, monkeypatch):
    output, store = swept
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{output / 'mlflow.db'}")
    config, folder = config_of("mlflow", tmp_path), tmp_path / "stopped" / "0123456789ab"
    for error, status in ((RuntimeError("now"), "FAILED"), (KeyboardInterrupt("now"), "KILLED")):
        train_until(error, config, folder)
        (each,) = logged(store, "stopped").values()
        assert each.info.status == status
        assert [step for step, _ in told(store, each, "train/loss")] == [1, 2]
    record = train(config, folder)
    (each,) = logged(store, "stopped").values()
    assert (each.info.run_name, each.info.status) == ("0123456789ab", "FINISHED")
    assert [step for step, _ in told(store, each, "train/loss")] == EPOCHS
    assert each.data.metrics["test/accuracy"] == record.score("test")
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.slow
def test_a_store_that_goes_away_costs_no_run(swept, tmp_path, monkeypatch, capsys):
    from mlflow.exceptions import MlflowException

    output, _ = swept
    config = config_of("mlflow", tmp_path, study="lost")
    config["logger"]["uri"] = f"sqlite:///{output / 'mlflow.db'}"

    def gone(*args, **options):
        raise MlflowException("no connection")

    monkeypatch.setattr("mlflow.MlflowClient.set_terminated", gone)
    folder = tmp_path / "lost" / "0123456789ab"
    assert train(config, folder).status == "finished"
    assert capsys.readouterr().err.count("continues without MLflow: no connection\n") == 1


@pytest.mark.parametrize("name", ["mlflow", "tensorboard"])
def test_a_missing_package_is_one_line(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    extra = rf"the package {name}(-skinny)? is missing: pip install 'intrinsic-subspaces\[{name}\]'"
    with pytest.raises(UserError, match=extra):
        train(config_of(name, tmp_path), tmp_path / "stopped" / "0123456789ab")


def test_an_address_that_is_none_is_one_line(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="pip install -e '.[mlflow]'")
    config = config_of("mlflow", tmp_path)
    config["logger"]["uri"] = "nonsense://host"
    with pytest.raises(UserError, match=r"MLflow refuses logger.uri=nonsense://host .*; choose others"):
        train(config, tmp_path / "stopped" / "0123456789ab")


@pytest.mark.slow
@pytest.mark.nightly
def test_a_server_of_mlflow(tmp_path, monkeypatch):
    whole = "the server is in the package mlflow, not in mlflow-skinny"
    pytest.importorskip("mlflow.server.fastapi_app", reason=whole, exc_type=ImportError)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}"]
    with subprocess.Popen(command, cwd=tmp_path, start_new_session=True) as server:
        try:
            wait_for(port, server)
            monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
            assert run(f"{SWEEP} logger=mlflow", tmp_path / "out") == 0
            check_sweep(tmp_path / "out", client(address))
        finally:
            os.killpg(server.pid, 15)
    assert not (tmp_path / "out" / "mlflow.db").exists()
