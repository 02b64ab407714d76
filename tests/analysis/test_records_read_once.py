from analysis.compare import compare
from analysis.studies import row_of
from analysis.studies.records import load_records
from tests.support.studies import add


def test_a_record_is_read_once_until_it_changes(tmp_path, monkeypatch):
    read, record_in = [], row_of.record_in

    def count(folder):
        read.append(folder)
        return record_in(folder)

    monkeypatch.setattr(row_of, "record_in", count)
    study = tmp_path / "study"
    files = [add(study, rank=rank, seed=seed, test=0.8) for rank in (1, 2) for seed in (0, 1)]
    for _ in range(2):
        compare(study, out=tmp_path)
        frame, _ = load_records([study])
    assert sorted(read) == sorted(file.parent for file in files)
    text = files[0].read_text().replace("0.8", "0.7")
    files[0].unlink()
    files[0].write_text(text)
    assert sorted(load_records([study])[0]["score"]) == [0.7, 0.8, 0.8, 0.8]
    assert list(frame["score"]) == [0.8] * 4
    assert len(read) == 5


def test_a_run_that_has_another_score_in_another_study_is_said_to(tmp_path):
    for study, scores in (("one", (0.8, 0.9)), ("two", (0.8, 0.7))):
        for seed, score in enumerate(scores):
            add(tmp_path / study, test=score, seed=seed, rank=4)
    frame, (note,) = load_records([tmp_path / "one", tmp_path / "two"])
    assert note == (
        "2 of the runs are in several studies and count once, 1 with other scores there: that of the first study is "
        "taken"
    )
    assert sorted(frame["score"]) == [0.8, 0.9]
