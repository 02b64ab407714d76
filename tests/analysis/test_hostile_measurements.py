"""Measurements of strangers and damaged ones: a figure, or a line that names the file."""

import json
import re
import sys
import warnings

import pytest
import torch
from matplotlib.text import Text
from safetensors import safe_open
from safetensors.torch import save_file

from analysis.amplification import amplification
from analysis.spectrum import spectrum
from analysis.studies.measurement_file import MeasurementFile
from analysis.studies.strict_dict import StrictDict
from intrinsic.errors import UserError
from tests.support.updates_study import low_rank, moved

pytestmark = pytest.mark.slow


def make(study, *names):
    weights = {name: (low_rank(24, 16, 16, 1), low_rank(24, 16, 2, 2, 0.1)) for name in names or ("layer.weight",)}
    return [moved(study, weights, rank=2, seed=seed) / "updates.safetensors" for seed in (0, 1)]


def rewrite(path, change):
    with safe_open(path, "pt") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        content = json.loads(file.metadata()["intrinsic"])
    change(content, arrays)
    save_file(arrays, path, {"intrinsic": json.dumps(content) if isinstance(content, dict) else content})


@pytest.mark.parametrize("function", [spectrum, amplification])
def test_names_of_weights_are_drawn_as_they_are(tmp_path, function):
    names = [r"$\frac{1}$", "=cmd|' /C calc'!A0", "🦜", "$x</script>"]
    make(tmp_path / "demo", *(f"{name}.weight" for name in names))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = function(tmp_path / "demo", per="weight")
    assert set(drawn.rows["weights"]) == set(names)
    assert {label.get_text() for label in drawn.figure.findobj(Text)} >= set(names)


def gone(place, key):
    return lambda content, arrays: content[place].pop(key)


def put(place, key, value):
    return lambda content, arrays: content[place].update({key: value})


def _nested(depth):
    node = []
    for _ in range(depth):
        node = [node]
    return node


DAMAGE = {
    r"lacks 'weights': delete it": gone("values", "weights"),
    r"lacks 'head': delete it": gone("values", "head"),
    r"is damaged \(weights is \[\]\): delete it": put("values", "weights", []),
    r"is damaged \(weights is null\): delete it": put("values", "weights", None),
    r"is damaged \(head is \$x\): delete it": put("values", "head", "$x"),
    r"is damaged \(numbers is true\)": put("values", "numbers", True),
    r"is damaged \('options'\)": lambda content, arrays: content.pop("options"),
    r"is damaged \(NaN is not a number\)": put("values", "loss", float("nan")),
    r"is damaged \(File does not contain tensor layer\.weight/values\)": (
        lambda content, arrays: arrays.pop("layer.weight/values")
    ),
    r"is damaged \(an array is called .x1b\[31m\)": lambda content, arrays: arrays.update({"\x1b[31m": torch.ones(1)}),
    r"is damaged \(.*bfloat16": lambda content, arrays: arrays.update(
        {name: array.bfloat16() for name, array in arrays.items()}
    ),
    r"is damaged \(.*recursion": lambda content, arrays: content["values"].update(
        loss=_nested(sys.getrecursionlimit() - 100)
    ),
}


@pytest.mark.parametrize("line", DAMAGE)
def test_a_measurement_that_lacks_something_is_named_in_one_line(tmp_path, line):
    path, _ = make(tmp_path / "demo")
    rewrite(path, DAMAGE[line])
    with pytest.raises(UserError, match=f"{re.escape(str(path))} {line}") as caught:
        spectrum(tmp_path / "demo")
    assert str(caught.value).splitlines() == [str(caught.value)]
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("keep", [0, 7, 200, 1000])
def test_a_file_that_is_cut_is_named_in_one_line(tmp_path, keep):
    path, _ = make(tmp_path / "demo")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=f"{re.escape(str(path))} is damaged"):
        spectrum(tmp_path / "demo")


def test_what_is_missing_inside_is_named_too(tmp_path):
    told = StrictDict({"numbers": {"trained": 3}, "list": [{"a": 1}], "none": None}, "x.safetensors")
    file = MeasurementFile(tmp_path, told, StrictDict({}, "x.safetensors"))
    assert (file.values["numbers"]["trained"], file.values["none"], file.values.get("other")) == (3, None, None)
    for ask in (lambda: told["numbers"]["dim"], lambda: told["list"][0]["dim"], lambda: file.options["dim"]):
        with pytest.raises(UserError, match=r"x\.safetensors lacks 'dim': delete it and measure again"):
            ask()
