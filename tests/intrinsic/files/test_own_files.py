"""Files of the user's own: what they held is noticed to have changed, whatever their form."""

import hashlib

import pytest

from intrinsic.errors import UserError
from intrinsic.files.own_files import OwnFiles


def config(**nodes):
    return {"dataset": {}, "model": {"name": None}, "projection": {"file": None}, **nodes}


def test_a_file_that_holds_something_else_is_named_with_both_hashes(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\n")
    own = config(dataset={"file": [str(path)]})
    files = OwnFiles.of(own, [str(path)])
    assert files.hashes == {str(path): hashlib.sha256(b"one\n").hexdigest()[:16]}
    files.check(own, "run", "put it back")
    path.write_bytes(b"two\n")  # as long
    now = hashlib.sha256(b"two\n").hexdigest()[:16]
    with pytest.raises(UserError, match=rf"when run was made, .*a.txt held other data .*, now {now}\): put it back"):
        files.check(own, "run", "put it back")
    path.unlink()
    assert files.changed(own) is None  # gone: nothing to compare with


def test_a_folder_changes_with_what_is_in_it_and_not_with_hidden_files(tmp_path):
    (tmp_path / "photos" / "train" / "a").mkdir(parents=True)
    (tmp_path / "photos" / "train" / "a" / "1.png").write_bytes(b"1")
    own = config(dataset={"folder": str(tmp_path / "photos")})
    files = OwnFiles.of(own, [str(tmp_path / "photos")])
    (tmp_path / "photos" / ".DS_Store").write_bytes(b"1")
    assert files.changed(own) is None
    (tmp_path / "photos" / "train" / "a" / "2.png").write_bytes(b"2")
    assert "photos held other data" in files.changed(own)


def test_files_of_the_data_folder_are_found_where_a_config_has_it(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "glue" / "RTE").mkdir(parents=True)
        (tmp_path / name / "glue" / "RTE" / "train.tsv").write_text(name)
    first, second = (config(dataset={"data_dir": str(tmp_path / name)}) for name in ("one", "two"))
    files = OwnFiles.of(first, ["glue/RTE/train.tsv", "glue/RTE/test.tsv"])
    assert files.hashes["glue/RTE/test.tsv"] is None
    assert files.changed(first) is None
    assert "train.tsv held other data" in files.changed(second)
    (tmp_path / "one" / "glue" / "RTE" / "test.tsv").write_text("a test split")
    assert "test.tsv was not there" in files.changed(first)
    assert OwnFiles.of(first, ["glue/QQP/train.tsv"]).hashes == {}  # from the hub


def test_the_folder_of_a_model_counts_and_a_name_on_the_hub_does_not(tmp_path):
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "model.safetensors").write_bytes(b"weights")
    assert list(OwnFiles.of(config(model={"name": str(tmp_path / "bert")}), []).hashes) == [str(tmp_path / "bert")]
    assert OwnFiles.of(config(model={"name": "gpt2"}, dataset={"data_dir": str(tmp_path)}), []).hashes == {}


@pytest.mark.parametrize("name", ["/etc/hostname", "../secret", "secret"])
def test_names_that_a_config_does_not_have_are_not_read(name, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "secret").write_text("x")
    own = config(dataset={"data_dir": str(tmp_path / "data")})
    assert OwnFiles({name: "0" * 16}).changed(own) is None
