"""Every family of transformers with every space: no-op at the start, learns, merges, saves, loads; or says one line.

The table in docs/methods/families.md is what this file tests: a tick is a pair that works, a dash one that is refused.
By day each family has one pair, by night all of them.
"""

from functools import cache

import pytest
import torch

import intrinsic
from experiments.config.build import build
from tests.support.configs import ROOT, composed, names
from tests.support.zoo import FAMILIES, answer, example, member

pytest.importorskip("transformers")
pytestmark = pytest.mark.slow
TABLE = (ROOT / "docs/methods/families.md").read_text()
HEADER, _, *ROWS = [
    [cell.strip(" `") for cell in line.strip("| ").split("|")] for line in TABLE.splitlines() if line.startswith("|")
]
WORKS = {(row[0], space): cell for row in ROWS for space, cell in zip(HEADER[1:], row[1:], strict=True)}
REFUSAL = r"^space \w+ needs (biases|attention|tokens|layers whose output)|has no linear layer but its head: (name|use)"
NEVER = {"dinov2.embeddings.mask_token", "wav2vec2.masked_spec_embed"}  # of pretraining: no input reaches them
CLOSE = {"atol": 1e-6, "rtol": 0}  # the rounding of numbers near 1, whose sums depend on where memory begins


@cache
def space_of(name):
    """The space of a config file, small enough for the tiny models."""
    node = composed(f"space={name}")["space"]

    def small(part):
        if not isinstance(part, dict):
            return part
        return {key: 2 if key in ("rank", "bottleneck", "length") else small(value) for key, value in part.items()}

    return build(small(node), "space")


def pairs():
    for index, family in enumerate(FAMILIES):
        for number, space in enumerate(HEADER[1:]):
            day = (number - index) % len(HEADER[1:]) == 0
            yield pytest.param(family, space, marks=[] if day else pytest.mark.nightly)


def score(net, family):
    out = answer(net, family)
    return (out * torch.arange(out.numel()).view(out.shape).sin()).sum()


def step(net, family):
    for parameter in net.parameters():
        parameter.grad = None
    score(net, family).backward()
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.grad is not None:
                parameter -= 0.002 * parameter.grad / (1 + parameter.grad.norm())


@pytest.mark.parametrize(("family", "space"), list(pairs()))
def test_a_pair(family, space, tmp_path):
    model = member(family)
    with torch.no_grad():
        before, low = answer(model, family), score(model, family)
    if WORKS[family, space] == "–":
        with pytest.raises(intrinsic.UserError, match=REFUSAL):
            intrinsic.Subspace(model, space=space_of(space))
        with torch.no_grad():
            torch.testing.assert_close(answer(model, family), before, **CLOSE)
        return
    assert WORKS[family, space] == "✓"
    net = intrinsic.Subspace(model, space=space_of(space))
    with torch.no_grad():
        torch.testing.assert_close(answer(net, family), before, **CLOSE)
    step(net, family)
    step(net, family)  # what stands behind a zero moves in the second one
    missed = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()}
    assert {name.removeprefix("model.") for name in missed} <= NEVER
    with torch.no_grad():
        after = answer(net, family)
        assert score(net, family) < low
        torch.testing.assert_close(answer(net.merge(), family), after, atol=1e-4, rtol=1e-4)  # W + B A in float32
    intrinsic.save(net, tmp_path / "run.safetensors")
    again = intrinsic.load(member(family), tmp_path / "run.safetensors")
    with torch.no_grad():
        torch.testing.assert_close(answer(again, family), after, **CLOSE)


def test_the_table_has_every_family_and_says_whom_what_suits():
    assert [row[0] for row in ROWS] == list(FAMILIES)
    assert all(set(row[1:]) <= {"✓", "–"} for row in ROWS)
    refused = {pair for pair, cell in WORKS.items() if cell == "–"}
    unbiased = {f for f in FAMILIES if not any(n.endswith("bias") for n, _ in member(f).named_parameters())}
    assert {family for family, space in refused if space == "bitfit"} == unbiased
    assert {family for family, space in refused if space not in ("bitfit", "prompt")} == {"mamba", "convnext", "resnet"}
    textless = {family for family in FAMILIES if not {"input_ids", "decoder_input_ids"} & example(family).keys()}
    assert {family for family, space in refused if space == "prompt"} == textless | {"mamba"}
    assert all(len(next(iter(example(family).values()))) == 3 for family in FAMILIES)


@pytest.mark.nightly
def test_the_table_has_every_space():
    assert sorted(HEADER[1:]) == sorted(names("space"))
