"""Places that files may be written to."""

import os
import shutil

import pytest

from intrinsic.errors import UserError
from intrinsic.files.atomic import write_atomically, write_folder
from intrinsic.files.data_folder import write_data as write_data
from tests.support.atomic_writes import text
from tests.support.configs import files


def test_names_as_long_as_any(tmp_path):
    write_atomically(tmp_path / ("n" * 255), text("new"))
    assert files(tmp_path) == {tmp_path / ("n" * 255): b"new"}


def test_a_folder_that_is_there_is_not_taken(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("gone")
    for name in ("folder", "link"):
        with pytest.raises(UserError, match=f"cannot write to .*{name}: it is there already; give another path"):
            write_folder(tmp_path / name, lambda folder: shutil.rmtree(folder))
    assert sorted(os.listdir(tmp_path)) == ["folder", "link"]


def test_datasets_end_in_their_own_remedy(tmp_path):
    (tmp_path / "data").symlink_to("/dev/null")
    with pytest.raises(
        UserError, match=r"data: it is not a regular file; choose another folder with data_dir=.* or INTR"
    ):
        write_data(tmp_path / "data", b"new")
