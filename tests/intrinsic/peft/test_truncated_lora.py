"""Any change of weights as LoRA: its error is that of the SVD, and PEFT reads it."""

import copy

import pytest
import torch
from torch import nn

import intrinsic
from intrinsic.peft.truncated_lora import truncated_lora
from tests.intrinsic.peft.test_peft import TOLERANCE, outputs, peft_on
from tests.support.peft_models import bert, gpt2

pytestmark = pytest.mark.slow


def moved(model, names=""):
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and names in name:
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.mark.parametrize("make", [bert, gpt2])
def test_peft_has_all_of_it_at_full_rank_and_less_below(make, tmp_path):
    end = moved(make())
    expected, distances, errors = outputs(end), [], []
    for rank in (2, 5, 16):
        found = truncated_lora(make(), copy.deepcopy(end), rank=rank)
        intrinsic.export_peft(found.net, tmp_path / str(rank))
        out = outputs(peft_on(make(), tmp_path / str(rank)))
        torch.testing.assert_close(out, outputs(found.net.eval()), atol=TOLERANCE, rtol=0)
        distances.append((out - expected).abs().max().item())
        errors.append(found.error)
        assert not found.lost
    assert distances[2] < TOLERANCE < min(distances[:2])
    assert errors[2] < 1e-6 < errors[1] < errors[0] < 1


def test_the_error_is_that_of_the_singular_values():
    start, end = bert(), moved(bert(), "query")
    found = truncated_lora(copy.deepcopy(start), end, rank=3)
    total = left = 0.0
    for layer in range(2):
        name = f"bert.encoder.layer.{layer}.attention.self.query"
        change = (end.get_submodule(name).weight - start.get_submodule(name).weight).detach()
        values = torch.linalg.svdvals(change)
        layer_ = found.net.model.get_submodule(name)
        torch.testing.assert_close((change - layer_.delta().detach()).norm(), values[3:].norm())
        assert found.errors[name] == pytest.approx(values[3:].norm().item() / values.norm().item(), rel=1e-4)
        left, total = left + values[3:].square().sum().item(), total + values.square().sum().item()
    assert found.error == pytest.approx((left / total) ** 0.5, rel=1e-4)
    assert list(found.errors) == [f"bert.encoder.layer.{k}.attention.self.query" for k in range(2)]


def test_what_lora_has_no_place_for_is_named():
    end = moved(bert(), "query")
    with torch.no_grad():
        end.bert.encoder.layer[0].output.dense.bias += 0.1
        end.classifier.bias += 0.5
    found = truncated_lora(bert(), end, rank=16)
    assert found.lost == ["bert.encoder.layer.0.output.dense.bias"]
    assert 0 < found.lost_share < 0.05
    assert torch.equal(found.net.model.classifier.bias, end.classifier.bias)  # a head is kept in full
    only = bert()
    with torch.no_grad():
        only.bert.encoder.layer[0].output.dense.bias += 0.1
    with pytest.raises(intrinsic.UserError, match=r"no matrix .* has changed that LoRA can update \(1 parameters have"):
        truncated_lora(bert(), only, rank=2)


def test_convolutions_and_padding():
    def make():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 3))

    end, x = moved(make(), "0."), torch.rand(2, 1, 4, 4)
    found = truncated_lora(make(), end, rank=4)
    torch.testing.assert_close(found.net(x), end(x))
    table, tokens = nn.Sequential(nn.Embedding(9, 6, padding_idx=1), nn.Linear(6, 2)), torch.arange(9)
    end = copy.deepcopy(table)
    with torch.no_grad():
        end[0].weight += torch.randn(9, 6)
    torch.testing.assert_close(truncated_lora(table, end, rank=6).net(tokens), end(tokens))
