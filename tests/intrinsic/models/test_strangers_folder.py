"""A stranger's folder of a model runs no code, opens no pickle, reads no other file, and ends in one line."""

import json
import pickle
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from intrinsic.models.hf_tokenizer import HFTokenizer
from tests.support.strangers_folder import edit, refused
from tests.support.tiny import build, make_folder

pytestmark = pytest.mark.slow

pytest.importorskip("transformers")


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def trap(tmp_path):
    """A file that must not appear; a pickle that makes it appear."""
    path = tmp_path / "it-ran"
    yield path
    assert not path.exists()


def index(folder, part):
    names = list(load_file(folder / "model.safetensors"))
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": dict.fromkeys(names, part)}))


@pytest.mark.parametrize(
    "part", ["pytorch_model.bin", "../outside.safetensors", "/etc/passwd", "absent.safetensors", 7]
)
def test_an_index_names_safetensors_of_its_own_folder(tmp_path, trap, part):
    folder = make_folder(tmp_path / "model")
    for path in (folder / "pytorch_model.bin", tmp_path / "outside.safetensors"):
        path.write_bytes(pickle.dumps(Bomb(trap)))
    index(folder, part)
    refused(r"index.json names .*: need safetensors files of its own folder, and nothing else", build, folder)


@pytest.mark.parametrize("part", ["weights.safetensors", "shard-00001-model-00001-of-00001.safetensors"])
def test_an_index_of_safetensors_is_read(tmp_path, folders, part):
    """The second name is one that makes transformers look for a distributed checkpoint, whose metadata is a pickle."""
    folder = make_folder(tmp_path / "model")
    (folder / part).write_bytes((folder / "model.safetensors").read_bytes())
    index(folder, part)
    expected = build(folders["bert"]).state_dict()
    assert all(torch.equal(expected[name], tensor) for name, tensor in build(folder).state_dict().items())


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"weight_map": 3}', '{"weight_map": {}}', "{", "[" * 100_000, "\x00\xff"]
)
def test_a_harmed_index(tmp_path, content):
    folder = make_folder(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(content)
    refused(r"index.json (is not a JSON object|is not JSON|has no weight_map)", build, folder)


def test_an_adapter_beside_the_weights(tmp_path, trap):
    folder = make_folder(tmp_path / "model")
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "some/model"}')
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Bomb(trap)))
    refused(r"model has adapter_config.json beside its weights: merge the adapter", build, folder)
    assert build(folder, source=None)
    assert HFTokenizer(name=str(folder), max_length=16).size == 17


def test_code_of_the_folder_is_not_run(tmp_path, folders, trap):
    folder = make_folder(tmp_path / "model")
    code = f"open({str(trap)!r}, 'w')\n"
    for name in ("modeling", "configuration", "tokenization"):
        (folder / f"{name}_own.py").write_text(code)
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(code)
    edit(
        folder / "config.json",
        auto_map={
            "AutoConfig": "configuration_own.Own",
            "AutoModelForSequenceClassification": "modeling_own.Own",
            "AutoTokenizer": ["tokenization_own.Own", None],
        },
    )
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_own.Own", "tokenization_own.Own"]})
    expected = build(folders["bert"]).state_dict()
    for name, tensor in build(folder).state_dict().items():
        assert torch.equal(expected[name], tensor)
    assert build(folder, source=None)
    one, other = (HFTokenizer(name=str(path), max_length=16) for path in (folder, folders["bert"]))
    assert one.fingerprint == other.fingerprint
    edit(folder / "config.json", model_type="own")
    refused(r"cannot load .*model \(.*own.*\): need a model for sequence classification", build, folder)


def test_a_package_is_not_imported(tmp_path, monkeypatch, trap):
    package = tmp_path / "evil_package"
    make_folder(package / "inside" / "model")
    for path in (package, package / "inside"):
        (path / "__init__.py").write_text(f"open({str(trap)!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    match = r"need model.name=package:<package>/<folder inside of it>, got model.name='package:"
    for name in ("evil_package.inside/model", "evil_package/../x", "evil_package//etc", "/etc", "", "__main__.x/y"):
        refused(match, build, f"package:{name}")
    refused(r"the package json/ is missing|json.* has no config.json", build, "package:json/")
    refused(r"the package __main__ is missing", build, "package:__main__/x")
    assert build("package:evil_package/inside/model")
    assert "evil_package" not in sys.modules


def test_of_the_hub_texts_and_safetensors_are_asked_for(tmp_path, monkeypatch, folders):
    import huggingface_hub

    asked = []

    def snapshot(name, *, allow_patterns, ignore_patterns):
        asked.append((name, {pattern.rsplit(".", 1)[1] for pattern in allow_patterns}, ignore_patterns))
        return str(folders["bert"])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    expected = build(folders["bert"]).state_dict()
    assert all(torch.equal(expected[name], tensor) for name, tensor in build("some/model").state_dict().items())
    assert HFTokenizer(name="some/model", max_length=16)([("a good film",)])["ids"].tolist() == [2, 5, 6, 10, 4]
    texts = {"json", "txt", "model", "spm", "codes", "jinja"}
    assert asked == [("some/model", texts | {"safetensors"}, ["*/*"]), ("some/model", texts, ["*/*"])]


def test_names_that_are_no_folder():
    for name in (
        "~no_such_user/x",
        "a\0b",
        "../..",
        "x" * 5000,
        "https://evil.example/model",
        "a/b/c",
        "a b",
        "\x1b[2J",
    ):
        refused(r"there is no (folder|home folder)|cannot use the path .*: use another|has no config.json", build, name)


def test_weights_of_other_types_and_shapes(tmp_path):
    folder = make_folder(tmp_path / "model")
    good = load_file(folder / "model.safetensors")
    name = "bert.encoder.layer.0.attention.self.query.weight"
    for tensor, match in [
        (torch.zeros(3, 5), r"lacks 1 tensors of its model, such as bert.encoder.layer.0.attention.self.query.weight"),
        (torch.zeros(0), r"lacks 1 tensors of its model"),
    ]:
        save_file(good | {name: tensor}, folder / "model.safetensors")
        refused(match, build, folder)
    save_file({key: tensor / 0 for key, tensor in good.items()}, folder / "model.safetensors")
    refused(r"returns NaN or infinity for a text: its weights or its config.json are damaged", build, folder)
    for header in (b"\xff" * 8, (10**9).to_bytes(8, "little") + b"{}", b"\x02" + bytes(7) + b"{}", b""):
        (folder / "model.safetensors").write_bytes(header)
        refused(r"cannot load|lacks", build, folder)
