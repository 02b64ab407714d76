"""A study in a small form: the same rows again, nothing of the machine, mistakes in one line."""

import json

import pytest

from analysis.commit_results import commit_results, main
from analysis.compare import compare
from analysis.rank_curve import rank_curve
from analysis.results.committed import Committed
from analysis.results.small_study import merged, own, pack, read_small_study, shared, unpack
from analysis.studies.records import load_records
from intrinsic.errors import UserError
from tests.support.studies import add

COLUMNS = [
    "run_id",
    "status",
    "method",
    "seed",
    "lr",
    "rank",
    "trained",
    "score",
    "validation_score",
    "start",
    "config",
]


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "home" / "ranks"
    for seed in (0, 1):
        for rank in (1, 2):
            add(
                folder,
                rank=rank,
                seed=seed,
                test=(0.8, 0.9)[rank - 1],
                at_0=(0.1, 0.2),
                space={"rank_pattern": {"a.b": 1}},
            )
    add(folder, "full", 0.95, at_0=(0.1, 0.2), output=str(tmp_path / "home"))
    add(folder, rank=4, status="failed")
    return folder


def test_the_rows_are_the_same_and_the_places_gone(study, tmp_path, capsys):
    path = tmp_path / "ranks.json"
    main([str(study), "-o", str(path), "--command", "python run.py -m rank=1,2", "--note", "a note"])
    assert capsys.readouterr().out == f"{path}\n"
    content = read_small_study(path)
    assert (content["commands"], content["note"]) == (["python run.py -m rank=1,2"], "a note")
    assert str(tmp_path) not in path.read_text()
    main(["--unpack", str(path), str(tmp_path / "again")])
    before, after = (
        load_records([folder])[0].set_index("run_id", drop=False) for folder in (study, tmp_path / "again")
    )
    assert len(after) == 6

    def texts(frame, name):
        values = [json.dumps(value, sort_keys=True, default=str) for value in frame.loc[before.index, name]]
        return [text.replace(str(tmp_path / "home"), "outputs") for text in values]

    for name in COLUMNS:
        assert texts(after, name) == texts(before, name), name
    points = [compare(folder, out=tmp_path / "out").points for folder in (study, tmp_path / "again")]
    assert points[0].equals(points[1])


def test_written_again_it_is_the_same_file_and_keeps_its_commands(study, tmp_path):
    path = commit_results([study], tmp_path / "a.json", commands=["python run.py"], note="why")
    first = path.read_bytes()
    unpack(read_small_study(path), tmp_path / "again")
    commit_results([tmp_path / "again", study], path)
    assert path.read_bytes() == first


def test_a_run_that_failed_elsewhere_is_the_finished_one_and_what_is_left_out_is_said(study, tmp_path, capsys):
    other = tmp_path / "home" / "failed"
    kept = next(path for path in study.glob("*/record.json") if '"finished"' in path.read_text())
    failed = json.loads(kept.read_text()) | {"status": "failed", "study": "failed", "last": None}
    (other / kept.parent.name).mkdir(parents=True)
    (other / kept.parent.name / "record.json").write_text(json.dumps(failed))
    (other / "0123456789ab").mkdir()
    (other / "damaged").mkdir()
    (other / "damaged" / "record.json").write_text("{")
    main([str(other), str(study), "-o", str(tmp_path / "a.json"), "--command", "python run.py"])
    said = capsys.readouterr().err
    assert "note: unfinished runs left out: 1 in" in said
    assert "note: left out: " in said
    frame, _ = load_records([unpack(read_small_study(tmp_path / "a.json"), tmp_path / "again")])
    assert sorted(frame["status"]) == ["failed"] + ["finished"] * 5  # as in the study alone


def test_rows_of_a_figure_are_kept(study, tmp_path):
    path = commit_results([study], tmp_path / "a.json", commands=["python run.py"], figures=["rank_curve"])
    kept = Committed(path, tmp_path / "home").measured("rank_curve")
    drawn = rank_curve(study, out=tmp_path / "out").rows
    assert kept["run_id"].tolist() == drawn["run_id"].tolist()
    assert kept["score"].tolist() == pytest.approx(drawn["score"].tolist(), nan_ok=True)
    with pytest.raises(UserError, match="a keeps no rows of latency: commit_results --figure latency"):
        Committed(path, tmp_path / "again").measured("latency")
    with pytest.raises(UserError, match=r"no figure nothing: there are .*rank_curve"):
        commit_results([study], path, figures=["nothing"])


def test_what_is_shared_stands_once_and_nothing_is_lost():
    nodes = [
        {"a": 1, "b": {"c": 1, "d": {}, "e": None}, "x": [1], "y": {"z": 1}},
        {"a": 1, "b": {"c": 1.0, "d": {}, "e": None, "f": 2}, "x": [1], "y": 3},
        {"a": 1, "b": {"c": True, "d": {"g": 1}, "e": None}, "x": [1]},
    ]
    common = shared(nodes)
    assert common == {"a": 1, "b": {"d": {}, "e": None}, "x": [1]}
    for node in nodes:
        left = own(node, common)
        assert json.dumps(merged(common, left), sort_keys=True) == json.dumps(node, sort_keys=True)


def test_a_run_takes_few_bytes(study):
    content = pack([study], ["x"], "")
    (lora,) = [part for part in content["methods"] if part["common"].get("method") == "lora"]
    finished = [run for run in lora["runs"] if run["config"].get("rank") != 4]
    assert len(finished) == 4
    assert max(len(json.dumps(run)) for run in finished) < 450


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{}", "is no study in the small form: write it again"),
        (
            '{"format": 2, "commands": [], "note": "", "common": {}, "methods": []}',
            "has format 2, this program reads 1",
        ),
        ("nothing", "cannot be read .*: write it again by"),
    ],
)
def test_what_is_no_such_file(tmp_path, text, match):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=match) as caught:
        read_small_study(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("methods", "match"),
    [
        ([{"common": {}, "runs": [{"run_id": "../up"}]}], r"to have run ids, got '\.\./up'"),
        ([{"common": {}, "runs": [{}]}], "to have run ids, got None"),
        ([{"runs": []}, 3], "each with common and runs"),
    ],
)
def test_a_strangers_runs(tmp_path, methods, match):
    content = {"format": 1, "commands": [], "note": "", "common": {}, "methods": methods}
    with pytest.raises(UserError, match=match):
        unpack(content, tmp_path / "study")
    assert not list(tmp_path.rglob("record.json"))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["ranks"], "need --out FILE, to write a study in the small form, or --unpack FILE"),
        (["ranks", "-o", "new.json"], 'need the commands that made the runs: --command "python run.py ..."'),
        (["ranks", "--unpack", "a.json"], "need one new folder with --unpack, got ranks"),
    ],
)
def test_bad_arguments(study, arguments, match, monkeypatch, capsys):
    monkeypatch.chdir(study.parent)
    with pytest.raises(SystemExit, match=r"^2$"):
        main(arguments)
    assert match in capsys.readouterr().err
