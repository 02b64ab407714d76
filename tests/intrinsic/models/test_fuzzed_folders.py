"""Any change of a model's folder ends in one line, or in a model and a tokenizer that work."""

import json
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intrinsic.errors import UserError
from intrinsic.models.hf_lm import hf_lm
from intrinsic.models.hf_tokenizer import HFTokenizer
from tests.support.tiny import ARCHITECTURES, build
from tests.support.tiny_language import MODEL

pytest.importorskip("transformers")
TEXT = [("a good film", "not bad"), ("dull", "the story")]
NUMBERS = st.sampled_from([0, -1, 1, 3, 10**6, 10**9, 2**63, -(2**70), 0.5, float("nan"), float("inf"), True])
LEAVES = (
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5) | st.sampled_from(["relu", "bert", "float16", "\x1b["])
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))


def one_line(error, folder):
    message = str(error)
    assert message.isprintable(), message
    assert str(folder) in message
    assert len(message) < 800 + len(str(folder))
    return True


def works(folder, model):
    """The outputs of a model for two tokens: a model that is made can be run."""
    with torch.no_grad():
        return model.eval()(torch.tensor([[[0, 1, 4], [0, 0, 0]]])).shape[0] == 1


@settings(max_examples=25)
@given(st.data(), st.sampled_from(sorted(ARCHITECTURES)), st.sampled_from(["hub", None]))
def test_config_of_a_classifier(tmp_path, folders, data, kind, source):
    folder = tmp_path / "classifier"
    shutil.copytree(folders[kind], folder, dirs_exist_ok=True)
    config = json.loads((folders[kind] / "config.json").read_text())
    for key in data.draw(st.lists(st.sampled_from(sorted(config)), min_size=1, max_size=2)):
        config[key] = data.draw(VALUES)
    (folder / "config.json").write_text(json.dumps(config))
    try:
        model = build(folder, source=source)
    except UserError as error:
        assert one_line(error, folder)  # noqa: PT017
    else:
        assert works(folder, model)


@settings(max_examples=12)
@given(st.data(), st.sampled_from(["bert", "gpt2", "llama"]))
def test_config_of_a_language_model(tmp_path, language_folders, data, kind):
    folder = tmp_path / "language"
    shutil.copytree(language_folders[kind], folder, dirs_exist_ok=True)
    config = json.loads((language_folders[kind] / "config.json").read_text())
    config[data.draw(st.sampled_from(sorted(config)))] = data.draw(VALUES)
    (folder / "config.json").write_text(json.dumps(config))
    try:
        model = hf_lm((2, 8), 18, name=str(folder), **MODEL)
    except UserError as error:
        assert one_line(error, folder) or "encoder" in str(error)  # noqa: PT017
    else:
        assert works(folder, model)


def changed(data, value):
    """A JSON value with one of its parts replaced or left out."""
    if not isinstance(value, dict | list) or not value or data.draw(st.integers(0, 3)) == 0:
        return data.draw(VALUES)
    key = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
    if data.draw(st.integers(0, 3)) == 0:
        rest = value.items() if isinstance(value, dict) else enumerate(value)
        kept = {other: each for other, each in rest if other != key}
        return kept if isinstance(value, dict) else list(kept.values())
    copy = value.copy()
    copy[key] = changed(data, value[key])
    return copy


@settings(max_examples=25)
@given(st.data(), st.sampled_from(["tokenizer.json", "tokenizer_config.json"]))
def test_files_of_a_tokenizer(tmp_path, folders, data, name):
    folder = tmp_path / "tokenizer"
    shutil.copytree(folders["bert"], folder, dirs_exist_ok=True)
    (folder / name).write_text(json.dumps(changed(data, json.loads((folders["bert"] / name).read_text()))))
    try:
        tokenizer = HFTokenizer(name=str(folder), max_length=16)
        cut, special, size = tokenizer(TEXT), tokenizer.special, tokenizer.size
    except UserError as error:
        assert one_line(error, folder)  # noqa: PT017
    else:
        assert cut["lengths"].sum() == len(cut["ids"]) == len(cut["kinds"])
        assert 0 <= cut["ids"].min() <= cut["ids"].max() < 17
        assert 0 <= min(special, default=0) <= max(special, default=0)
        assert size > 0


@settings(max_examples=12)
@given(st.data(), st.sampled_from(["model.safetensors", "tokenizer.json", "config.json", "tokenizer_config.json"]))
def test_bytes_of_any_file(tmp_path, folders, data, name):
    folder = tmp_path / "bytes"
    shutil.copytree(folders["bert"], folder, dirs_exist_ok=True)
    whole = (folders["bert"] / name).read_bytes()
    place = data.draw(st.integers(0, len(whole)) | st.integers(0, 300))
    part, dropped = data.draw(st.binary(max_size=3)), data.draw(st.integers(0, 3) | st.just(len(whole)))
    (folder / name).write_bytes(whole[:place] + part + whole[place + dropped :])
    try:
        assert works(folder, build(folder))
        HFTokenizer(name=str(folder), max_length=16)(TEXT)
    except UserError as error:
        assert one_line(error, folder)  # noqa: PT017
