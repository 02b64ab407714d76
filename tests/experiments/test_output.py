"""Printing: another's text steers no terminal, and a full or closed output costs no result."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intrinsic.errors import UserError
from intrinsic.files.records import Record
from intrinsic.terminal.command import command
from intrinsic.terminal.one_line import one_line
from intrinsic.terminal.say import say
from tests.support.commands import QUICK
from tests.support.sweeps import ROOT

pytestmark = pytest.mark.usefixtures("surroundings")

HOSTILE = "\x1b]0;title\x07\x1b[2J\r\n\u202eevil\u2066\u200b\x9b31m\u2028\ud800\x00"
SEEN = r"\x1b]0;title\x07\x1b[2J\r\n\u202eevil\u2066\u200b\x9b31m\u2028\ud800\x00"
RUN = [sys.executable, str(ROOT / "run.py")]


def test_what_a_terminal_obeys_is_shown():
    assert one_line(HOSTILE) == SEEN
    assert one_line("θ₀ of 90° – 日本語 👍 a\\n") == "θ₀ of 90° – 日本語 👍 a\\n"


@given(st.text(max_size=500), st.integers(10, 300))
def test_any_text_is_one_short_line(text, longest):
    line = one_line(text, longest)
    assert all(letter.isprintable() for letter in line)
    assert len(text) <= longest or f"...({len(text) - longest:,} characters)..." in line
    assert len(line) <= 10 * (longest + 40)


def test_of_a_long_text_rule_and_remedy_stay(capsys):
    with pytest.raises(SystemExit, match="2"), command():
        raise UserError(f"need a name, got {'x' * 10_000_000}: use another")
    err = capsys.readouterr().err
    assert err.startswith("error: need a name, got xxx")
    assert err.endswith("xxx: use another\n")
    assert len(err) < 2100


@pytest.mark.parametrize("sweep", ["", "-m "])
def test_no_line_of_a_run_steers_the_terminal(program, sweep):
    status, out, err = program(f"{sweep}study=hostile {QUICK} rank=1 \"head='{HOSTILE[:-4]}'\"")
    assert status == (1 if sweep else 2)
    assert all(letter.isprintable() or letter == "\n" for letter in out + err)
    assert r"got head='\x1b]0;title\x07\x1b[2J\r\n\u202eevil" in err


def test_a_table_shows_hostile_values(capsys):
    from experiments.terminal.table import print_table

    failed = Record(status="error", error=HOSTILE, config={})
    print_table([{"a\x1b[1m": HOSTILE}, {"a\x1b[1m": "2"}], [failed, failed])
    out = capsys.readouterr().out
    assert all(letter.isprintable() or letter == "\n" for letter in out)
    assert SEEN in out


def test_a_terminal_without_a_letter_gets_its_escape():
    program = "from intrinsic.terminal.command import command\nwith command():\n print('\u03b8 \\udc80 done')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, cwd=ROOT, env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\\u03b8 \\udc80 done\n", b"")


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_outputs_that_are_closed_before_the_start(closed, tmp_path):
    """No file that the program opens becomes what others print into."""
    program = (
        "import os, sys\nfrom intrinsic.terminal.command import command\nfrom intrinsic.terminal.say import say\n"
        f"with command():\n file = open({str(tmp_path / 'file')!r}, 'w')\n assert file.fileno() > 2\n"
        " say('out'); say('err', sys.stderr); os.write(1, b'stray'); os.write(2, b'stray')\n"
        f"open({str(tmp_path / 'done')!r}, 'w')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, preexec_fn=lambda: [os.close(fd) for fd in closed], timeout=60
    )
    assert done.returncode == 0
    assert (tmp_path / "done").exists()
    assert (tmp_path / "file").read_text() == ""


def statuses(folder):
    return [json.loads(path.read_text())["status"] for path in folder.glob("*/record.json")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher", ["basic", *(pytest.param(n, marks=pytest.mark.nightly) for n in ("joblib", "submitit_local"))]
)
def test_a_full_output_costs_no_run(tmp_path, launcher):
    sweep = [f"hydra/launcher={launcher}", "rank=1,2", "seed=0,1", "replicas=2", "epochs=1", *QUICK.split()]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*RUN, "-m", f"output={tmp_path}", *sweep], stdout=full, stderr=subprocess.PIPE, text=True, timeout=120
        )
    assert (done.returncode, done.stderr) == (1, "error: cannot print to standard output: No space left on device\n")
    assert statuses(tmp_path / "default") == ["finished"] * 4


@pytest.mark.nightly  # by day standard output alone, above
def test_both_outputs_full(tmp_path):
    """Also the error of one run of a sweep, its traceback, and lines about progress."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*RUN, "-m", f"output={tmp_path}", "rank=0,1", "epochs=1", *QUICK.split()],
            stdout=full,
            stderr=full,
            timeout=120,
        )
    assert done.returncode == 1
    assert statuses(tmp_path / "default") == ["finished"]


@pytest.mark.slow
def test_a_reader_who_leaves_ends_nothing(tmp_path):
    sweep = f"{' '.join(RUN)} -m output={tmp_path} rank=1,2,3 epochs=1 {QUICK}"
    done = subprocess.run(
        ["bash", "-c", f"{sweep} | head -1; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True, timeout=120
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[0].startswith("[1/3, ")
    assert done.stdout.splitlines()[1:] == ["0"]
    assert statuses(tmp_path / "default") == ["finished"] * 3


def leaves_at_once(command):
    pipe = f"{sys.executable} -m {command} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.slow
def test_a_reader_of_help_who_leaves_ends_nothing():
    leaves_at_once("analysis.compare --help")


@pytest.mark.nightly
def test_a_reader_of_a_figure_who_leaves_ends_nothing(study):
    leaves_at_once(f"analysis.rank_curve {study}")


def test_say_prints_one_line(capsys):
    say("a\nb")
    assert capsys.readouterr().out == "a\\nb\n"
