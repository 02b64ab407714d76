import gc
import sys

from intrinsic.terminal.lasting_imports import lasting_imports


def test_imports_are_not_searched_and_stay():
    try:
        with lasting_imports("never_imported"):
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_a_package_that_is_there_changes_nothing():
    assert "sys" in sys.modules
    with lasting_imports("sys"):
        assert gc.isenabled()
    assert gc.get_freeze_count() == 0
