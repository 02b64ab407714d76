"""Gradients at theta_0 against their definition, in float64."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import intrinsic
from experiments.finished.measure import _runs
from experiments.gradients import _kinds, decompose, gradients
from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.models.decoder import Decoder
from intrinsic.surgery.head import under
from intrinsic.tasks.language import token_counts, token_hits, token_loss
from intrinsic.tasks.task import Split, Task, classification
from tests.support.measurements import reopened as as_run
from tests.support.studies import add
from tests.support.tiny_transformers import tiny


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3))


def reopened(model, inputs=None, **how):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(40, 6, generator=generator) if inputs is None else inputs
    split = Split(inputs, torch.randint(3, (len(inputs),), generator=generator))
    net = intrinsic.Subspace(copy.deepcopy(model), **how)
    task = classification(split, split, split, num_outputs=3)
    return as_run(net, net, task)


def naive(run, model, examples):
    """dL/dW of each linear layer by autograd, over all examples at once, in float64."""
    order = rng.permutation(rng.fan_out(3, "gradients"), len(run.task.train))[:examples]
    plain = copy.deepcopy(model).double().eval()
    loss = functional.cross_entropy(plain(run.task.train.inputs[order].double()), run.task.train.targets[order])
    names = [name for name, parameter in plain.named_parameters() if parameter.ndim == 2]
    return loss.item(), dict(
        zip(names, torch.autograd.grad(loss, [plain.get_parameter(name) for name in names]), strict=True)
    )


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"space": intrinsic.LoRA(rank=2)},
        {"projection": intrinsic.Dense, "dim": 9},
        {"space": intrinsic.LoRA(rank=2, targets=["0"]), "projection": intrinsic.OneHot, "dim": 4, "head": "train"},
    ],
)
@pytest.mark.parametrize("examples", [5, 40])
def test_they_are_those_of_theta_0_whatever_the_method(how, examples):
    model = network()
    run = reopened(model, **how)
    before = {name: p.requires_grad for name, p in run.start.named_parameters()}
    values, arrays = gradients(run, examples=examples, keep=4)
    loss, expected = naive(run, model, examples)
    assert values["loss"] == pytest.approx(loss, rel=1e-6)
    assert values["weights"].keys() == expected.keys() == {"0.weight", "3.weight", "5.weight"}
    assert {name: weight["kind"] for name, weight in values["weights"].items()}["5.weight"] == "head"
    for name, gradient in expected.items():
        sigma = np.linalg.svd(gradient.numpy(), compute_uv=False)
        np.testing.assert_allclose(arrays[f"{name}/values"], sigma, rtol=1e-4, atol=1e-6 * sigma[0])  # float32 inside
        assert values["weights"][name]["energy"] == pytest.approx((gradient**2).sum().item(), rel=1e-5)
        for r in range(1, min(4, *gradient.shape) + 1):
            top = sum(value**2 for value in sigma[:r])
            assert arrays[f"{name}/share"][r - 1] == pytest.approx(top / sum(sigma**2), rel=1e-5)
            assert arrays[f"{name}/gain"][r - 1] == pytest.approx(top**0.5 / (r * sum(gradient.shape)), rel=1e-5)
    assert {name: p.requires_grad for name, p in run.start.named_parameters()} == before
    assert all(p.grad is None for p in run.start.parameters())


def test_the_best_update_of_rank_r_falls_as_fast_as_the_gain_says():
    """Among updates of norm 1 and rank r none goes down faster than -G_r / ||G_r||, and that one does."""
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    gains = decompose(gradient, 64)["gain"]
    left, sigma, right = torch.linalg.svd(gradient, full_matrices=False)
    for r in range(1, 6):
        best = -(left[:, :r] * sigma[:r]) @ right[:r]
        rate = -(gradient * best / best.norm()).sum()
        assert gains[r - 1] * r * 12 == pytest.approx(rate.item())
        for _ in range(50):
            other = torch.randn(7, r, generator=generator, dtype=torch.float64) @ torch.randn(
                r, 5, generator=generator, dtype=torch.float64
            )
            assert (gradient * other / other.norm()).sum().abs() < rate


def test_halves_are_those_of_the_batch():
    model = network()
    run = reopened(model)
    _, arrays = gradients(run, examples=10, keep=2)
    order = rng.permutation(rng.fan_out(3, "gradients"), 40)[:10]
    for half, some in enumerate((order[:5], order[5:])):
        plain = copy.deepcopy(model).eval()
        functional.cross_entropy(plain(run.task.train.inputs[some]), run.task.train.targets[some]).backward()
        top = torch.linalg.svdvals(plain[0].weight.grad)[0].item()
        assert arrays["0.weight/half_gain"][half, 0] == pytest.approx(top / 14, rel=1e-5)


def test_the_mean_is_over_tokens_where_they_are_predicted():
    """Texts of 2 to 12 tokens, in more than one batch: their gradient is that of all tokens at once."""
    generator = torch.Generator().manual_seed(1)
    lengths = 2 + torch.randint(11, (90,), generator=generator)
    ids = torch.randint(7, (90, 12), generator=generator).masked_fill(torch.arange(12) >= lengths[:, None], -1)
    split = Split(torch.stack([ids, ids.clamp(max=0)], 1), functional.pad(ids[:, 1:], (0, 1), value=-1), lengths)
    torch.manual_seed(0)
    sizes = {"context": 12, "width": 8, "depth": 1, "heads": 2}
    net = intrinsic.Subspace(Decoder((2, 12), 7, objective="causal", dropout=0.5, **sizes))
    run = as_run(net, net, Task(split, split, split, 7, loss=token_loss, score=token_hits, tokens=token_counts))
    values, arrays = gradients(run, examples=81, keep=2)
    some = torch.from_numpy(rng.permutation(rng.fan_out(3, "gradients"), 90)[:81])
    plain = copy.deepcopy(net.model).double().eval()

    def whole(examples):
        used = split.targets[examples] >= 0
        loss = functional.cross_entropy(plain(split.inputs[examples])[used], split.targets[examples][used].long())
        return loss, torch.autograd.grad(loss, plain.head.weight)[0]

    loss, gradient = whole(some)
    assert values["loss"] == pytest.approx(loss.item(), rel=1e-6)
    sigma = torch.linalg.svdvals(gradient)
    np.testing.assert_allclose(arrays["head.weight/values"], sigma, rtol=1e-4, atol=1e-6 * sigma[0].item())  # float32
    for half, part in enumerate(some.split(41)):
        top = torch.linalg.svdvals(whole(part)[1])[0].item()
        assert arrays["head.weight/half_gain"][half, 0] == pytest.approx(top / 15, rel=1e-4)


def test_a_gradient_planted_at_rank_one_is_all_in_the_first_direction():
    """Inputs along one direction: G = sum_i g_i x_i^T = (sum_i a_i g_i) x^T."""
    direction = torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0, 1.0])
    run = reopened(network(), inputs=torch.linspace(-1, 1, 40)[:, None] * direction)
    _, arrays = gradients(run, examples=40)
    assert arrays["0.weight/share"][0] == pytest.approx(1, abs=1e-6)
    assert arrays["5.weight/share"][0] < 0.999


def test_rows_of_words_that_are_absent_change_nothing():
    gradient = torch.zeros(50, 6, dtype=torch.float64)
    gradient[[3, 17, 40]] = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = decompose(gradient, 64)
    np.testing.assert_allclose(found["values"], np.linalg.svd(gradient.numpy(), compute_uv=False), atol=1e-12)
    assert found["share"].tolist()[2:] == pytest.approx([1] * 4)
    nothing = decompose(torch.zeros(4, 3, dtype=torch.float64), 2)
    assert {key: value.tolist() for key, value in nothing.items()} == {
        "values": [0, 0, 0], "share": [0, 0], "gain": [0, 0],
    }  # fmt: skip


def test_head_and_embeddings_of_a_transformer_are_apart():
    found = _kinds(tiny("bert"))
    kinds = {kind: [name for name in found if found[name] == kind] for kind in set(found.values())}
    assert kinds["head"] == ["classifier.weight"]
    assert all("embeddings" in name for name in kinds["embedding"])
    assert len(kinds["matrix"]) == 2 * 6 + 1  # and the pooler
    assert not any(under(name, "bert.embeddings") for name in kinds["matrix"])
    fused = _kinds(tiny("gpt2"))
    assert fused["transformer.h.0.attn.c_attn.weight"] == "matrix"


@pytest.mark.parametrize(("examples", "match"), [(1, "got examples=1"), (41, "need 2 <= examples <= 40")])
def test_examples_are_checked(examples, match):
    with pytest.raises(UserError, match=match):
        gradients(reopened(network()), examples=examples)


def test_a_start_without_a_finite_gradient_is_one_line():
    model = network()
    with torch.no_grad():
        model[0].weight.fill_(float("nan"))
    with pytest.raises(UserError, match=r"gradient of 0\.weight at theta_0 is not finite"):
        gradients(reopened(model), examples=8)


def test_one_run_of_each_start_is_measured(tmp_path):
    study = tmp_path / "study"
    for seed, method, data in ((2, "full", "a"), (1, "lora", "a"), (1, "lora", "b"), (0, "full", "b")):
        add(study, method, seed=seed, dataset={"_target_": data}, model={"width": 3}, lr=0.1 * (seed + 1))
    found = [record.config for _, record in _runs([Path(study)], ("dataset", "model", "tokenizer"))]
    assert sorted((config["dataset"]["_target_"], config["seed"]) for config in found) == [("a", 1), ("b", 0)]
    assert len(list(_runs([study], True))) == len(list(_runs([study], False))) == 4
