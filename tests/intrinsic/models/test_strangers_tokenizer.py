"""The tokenizer of a stranger's folder reads its own files alone, and ends in one line or in the right tokens."""

import pytest
import torch

from intrinsic.models.hf_tokenizer import HFTokenizer
from intrinsic.tasks.language import plain_text
from intrinsic.tasks.task import Split
from intrinsic.tasks.tokens import tokenize
from tests.support.strangers_folder import edit, refused
from tests.support.tiny import make_folder

pytest.importorskip("transformers")


def test_a_tokenizer_reads_its_own_files_alone(tmp_path, folders):
    folder = make_folder(tmp_path / "model")
    elsewhere = dict.fromkeys(("tokenizer_file", "vocab_file"), "/dev/zero")
    edit(folder / "tokenizer_config.json", **elsewhere, init_inputs=[1, 2], tokenizer_class="os.system")
    one, other = (HFTokenizer(name=str(path), max_length=16) for path in (folder, folders["bert"]))
    assert one.fingerprint == other.fingerprint
    one.save(tmp_path / "saved")
    assert (tmp_path / "saved" / "tokenizer.json").exists()


@pytest.mark.parametrize("changes", [{"truncation_side": "left"}, {"split_special_tokens": True}])
def test_tokens_are_kept_apart_where_they_are_cut_apart(tmp_path, changes):
    one, other = (make_folder(tmp_path / name) for name in ("one", "other"))
    edit(other / "tokenizer_config.json", **changes)
    texts = [("the </s> film was very very dull",)]
    split = Split(torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
    task = plain_text(split, split, split, texts)
    cut = [HFTokenizer(name=str(folder), max_length=6)(texts)["ids"] for folder in (one, other)]
    assert not torch.equal(*cut)
    for folder, ids in zip((one, other), cut, strict=True):
        tokenizer = HFTokenizer(name=str(folder), max_length=6)
        assert torch.equal(tokenize(task, tokenizer, tmp_path).train.inputs[0, 0], ids)


@pytest.mark.parametrize(
    "changes",
    [
        {"model_max_length": "many"},
        {"pad_token": 5},
        {"tokenizer_class": 3},
        {"added_tokens_decoder": {"x": 1}},
        {"extra_special_tokens": 4},
        {"tokenizer_class": ["BertTokenizer"]},
    ],
)
def test_a_tokenizer_config_of_other_types(tmp_path, changes):
    folder = make_folder(tmp_path / "model")
    edit(folder / "tokenizer_config.json", **changes)
    refused(r"cannot load .*model \(.*\): need a tokenizer", HFTokenizer, name=str(folder), max_length=16)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"model": {"type": "BPE"}}', "\x00", "[" * 10_000])
def test_a_damaged_tokenizer(tmp_path, content):
    folder = make_folder(tmp_path / "model")
    (folder / "tokenizer.json").write_text(content)
    refused(r"cannot load .*model \(.*\): need a tokenizer", HFTokenizer, name=str(folder), max_length=16)


def test_a_tokenizer_of_more_ids_than_the_model(tmp_path):
    """Else the first batch with such a token would end the run."""
    folder = make_folder(tmp_path / "model", vocab_size=12)
    cut = HFTokenizer(name=str(folder), max_length=16)
    assert cut([("a good film",)])["ids"].tolist() == [2, 5, 6, 10, 4]
    match = r"cuts the text \('the film',\) into 4 tokens, one of number 16: need 16 at most, below the vocab_size=12"
    refused(match, cut, [("a good film",), ("the film",)])
