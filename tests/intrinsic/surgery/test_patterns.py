"""Regular expressions of strangers: what might take years is refused before it is tried."""

import time

import pytest
import torch
from torch import nn

import intrinsic
from intrinsic.surgery.patterns import compile_pattern

NAME = "encoder.layers.11.attention.self.query_key_value_projection"
GOOD = [
    "",
    r".*\.(q|v)_proj",
    r"(.*\.)?c_attn$",
    r"^(?!.*head).*[qv]$",
    r"h\.\d+\.attn\.(q|k|v|o)",
    r"(?:a{2,5}b?)*",
    "|".join([NAME] * 300),
]
BAD = [
    r"(a+)+$",
    r"(\w|\w\w)+!$",
    r"(.*)*x",
    r"(a|a)*b",
    r"(\w+\.?)+!",
    r"((a{1,50}){1,50})!",
    r".*.*.*.*.*.*!",
    r"(?=(\w+)+!)",
]


@pytest.mark.parametrize("pattern", GOOD, ids=lambda pattern: pattern[:20])
def test_what_people_write_is_taken(pattern):
    began = time.process_time()
    compile_pattern(pattern).fullmatch(NAME)
    assert time.process_time() - began < 5  # it ends


@pytest.mark.parametrize("pattern", BAD)
def test_what_may_take_years_is_refused(pattern):
    model = nn.Sequential(nn.Linear(3, 3))
    makers = [
        lambda: intrinsic.LoRA(2, targets=pattern),
        lambda: intrinsic.LoRA(2, rank_pattern={pattern: 2}),
        lambda: intrinsic.LoRA(2, alpha_pattern={pattern: 2.0}),
        lambda: intrinsic.Full(select=pattern),
    ]
    for make in makers:
        with pytest.raises(intrinsic.UserError, match="may take too long: need no repetition of what has one"):
            intrinsic.Subspace(model, space=make())
    assert [type(module) for module in model] == [nn.Linear]
    assert torch.equal(model(torch.zeros(1, 3)), model[0].bias[None])


def test_what_is_none():
    for pattern in ("(", "[a", "a" * 10 + "{5,1}", "(" * 5000):
        with pytest.raises(intrinsic.UserError, match="is not a regular expression"):
            compile_pattern(pattern)
