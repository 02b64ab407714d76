"""What a training step costs, against counts by hand, and its figures."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import intrinsic
from analysis.figures.backward.backward_figure import backward_figure
from analysis.figures.backward.fewer_nodes import gather_nodes
from experiments.step.lora_identities import lora_identities
from experiments.step.step_costs import step_costs
from tests.support.small_nets import ADAM, IN, OUT, WIDE, N, data, squares, text_net, two_layers
from tests.support.tiny_transformers import batch as tiny_batch

pytestmark = pytest.mark.slow


def text_batch():
    ids = tiny_batch("bert")["input_ids"]
    return torch.stack([ids, torch.zeros_like(ids)], dim=1).int(), torch.tensor([0, 1, 2])


def test_counts_of_two_layers_by_hand():
    costs = step_costs(intrinsic.Subspace(two_layers()), squares, data(), ADAM)
    products = N * IN * WIDE + N * WIDE * OUT
    # backward: dW of both layers, and the gradient of the second one's input; nobody asks for the first one's
    assert costs["flops"] == {"forward": 2 * products, "backward": 2 * (products + N * WIDE * OUT)}
    numbers = IN * WIDE + WIDE + WIDE * OUT + OUT
    assert costs["bytes"] == {
        "weights": 4 * numbers,
        "method": 0,
        "optimizer": 8 * numbers + 4 * 4,  # two moments, and a count of steps for each of four tensors
        "gradients": 4 * numbers,
        "saved": 4 * (N * WIDE + N * OUT),  # of relu, which is also the second layer's input; and the difference
    }


def test_counts_of_lora_by_hand():
    rank = 2
    net = intrinsic.Subspace(two_layers(), space=intrinsic.LoRA(rank, targets=["0"]))
    costs = step_costs(net, squares, data(), ADAM)
    update = N * rank * (IN + WIDE)
    ahead = N * IN * WIDE + N * WIDE * OUT + update
    # backward: dB and dA, the gradients of A x and of the second layer's input; no dW, nothing for the frozen W
    assert costs["flops"] == {"forward": 2 * ahead, "backward": 2 * (update + N * WIDE * rank + N * WIDE * OUT)}
    assert costs["bytes"]["gradients"] == 4 * rank * (IN + WIDE)
    assert costs["bytes"]["saved"] == 4 * (N * rank + N * WIDE + N * OUT)


METHODS = {
    "full": {},
    "lora": {"space": intrinsic.LoRA(8)},
    "head": {"space": intrinsic.Head()},
    "bitfit": {"space": intrinsic.BitFit()},
    "subspace": {"projection": intrinsic.OneHot, "dim": 100},
    "said": {"projection": intrinsic.OneHot, "dim": 100, "scales": "layer"},
    "stream": {"projection": intrinsic.OneHot, "dim": 100, "stream": True},
    "said stream": {"projection": intrinsic.Fastfood, "dim": 100, "scales": "layer", "stream": True},
    "stacked": {"projection": intrinsic.Fastfood, "dim": 100, "granularity": "tensor"},
}


# activations and weights in turn are tens of MB
@pytest.mark.parametrize(("n", "sizes"), [(16384, [64, 64, 64, 64]), (8, [1024, 2048, 1024])])
@pytest.mark.parametrize("method", METHODS)
def test_the_predicted_peak_is_the_measured(method, n, sizes):
    torch.manual_seed(0)
    model = nn.Sequential(*(layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), nn.GELU())))
    model.add_module("head", nn.Linear(sizes[-1], 10))
    costs = step_costs(intrinsic.Subspace(model, **METHODS[method]), squares, data(n, sizes[0], 10), ADAM)
    peak = costs["peak"]
    assert peak["measured"] > (5e6 if method == "full" or n > 8 else 1e5)
    assert peak["predicted"] == pytest.approx(peak["measured"], rel=0.1)
    assert peak["predicted"] == peak["saved"] + peak["gradients"] + peak["working"]


@pytest.mark.parametrize(
    "method",
    ["full", "lora", "subspace", *(pytest.param(n, marks=pytest.mark.nightly) for n in ("adapter", "prefix", "said"))],
)
def test_the_peak_of_a_transformer(method):
    spaces = {"lora": intrinsic.LoRA(2), "adapter": intrinsic.Adapter(4), "prefix": intrinsic.Prefix(3)}
    options = {"space": spaces.get(method)}
    if method in ("subspace", "said"):
        options = {"projection": intrinsic.OneHot, "dim": 40, "scales": "layer" if method == "said" else None}
    costs = step_costs(text_net(**options), F.cross_entropy, text_batch(), ADAM)
    assert costs["peak"]["predicted"] == pytest.approx(costs["peak"]["measured"], rel=0.1)
    saved = sum(size for node in costs["graph"]["nodes"] for *_, size in node["saved"])
    assert saved == pytest.approx(
        costs["bytes"]["saved"], abs=64
    )  # numbers that torch wraps go by no hook: 8 bytes each


def test_the_net_stays_as_it_was():
    net = intrinsic.Subspace(two_layers(), space=intrinsic.LoRA(2))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    flags = {name: p.requires_grad for name, p in net.model.named_parameters()}
    step_costs(net, squares, data(), ADAM)
    lora_identities(net, squares, data())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert flags == {name: p.requires_grad for name, p in net.model.named_parameters()}
    assert net.training
    assert all(p.grad is None for p in net.model.parameters())


def test_gradients_of_lora():
    net = intrinsic.Subspace(two_layers(), space=intrinsic.LoRA(3, alpha=5.0, dropout=0.3, targets=["0", "2"]))
    with torch.no_grad():
        for layer in net.model.children():
            if hasattr(layer, "lora_B"):
                layer.lora_B.normal_()
    found = lora_identities(net, squares, data())
    assert found["layers"] == 2
    assert max(found["dA"], found["dB"]) < 1e-13  # float64
    net.model[0].scaling = torch.nn.Parameter(torch.tensor(2.0), requires_grad=False)  # the formula and the net agree
    assert lora_identities(net, squares, data())["dA"] < 1e-13
    assert lora_identities(intrinsic.Subspace(two_layers()), squares, data()) is None
    projected = intrinsic.Subspace(two_layers(), space=intrinsic.LoRA(2), projection=intrinsic.OneHot, dim=7)
    assert lora_identities(projected, squares, data()) is None


def test_where_gradients_go():
    graph = step_costs(text_net(space=intrinsic.LoRA(2)), F.cross_entropy, text_batch(), ADAM)["graph"]
    nodes = {node["name"]: node for node in graph["nodes"]}
    order = list(nodes)
    assert all(order.index(source) > order.index(target) for source, target in graph["edges"])  # no cycle
    assert [name.rpartition(".")[2] for name in graph["silent"]] == [
        "word_embeddings", "token_type_embeddings", "position_embeddings", "LayerNorm",
    ]  # fmt: skip
    stops = {name for name, node in nodes.items() if not node["input"]}
    assert stops == {f"bert.encoder.layer.0.attention.self.{part}" for part in ("query", "key", "value")}
    query = nodes["bert.encoder.layer.3.attention.self.query"]
    assert query["repeat"] == ["bert.encoder.layer", 3, 4]
    assert {name: state for name, _, state in query["parameters"]} == {
        "lora_A": "trained", "lora_B": "trained", "weight": "frozen", "bias": "frozen",
    }  # fmt: skip
    drawn, edges = gather_nodes(graph)
    assert "bert.encoder.layer.0-2" in drawn
    assert drawn["bert.encoder.layer.0-2"]["stops"]
    assert not any(".layer.1." in name for name in drawn)
    assert {name for edge in edges for name in edge} <= set(drawn)
    figure, rows = backward_figure(graph, "lora")
    assert rows["trained"].sum() == sum(p.numel() for p in text_net(space=intrinsic.LoRA(2)).parameters())
    figure.draw_without_rendering()


def test_gradients_of_a_subspace_are_collected():
    net = text_net(projection=intrinsic.OneHot, dim=20)
    graph = step_costs(net, F.cross_entropy, text_batch(), ADAM)["graph"]
    states = {state for node in graph["nodes"] for *_, state in node["parameters"]}
    assert (states, graph["silent"]) == ({"projected"}, [])
    collected = {source for source, target in graph["edges"] if target == "Pᵀ"}
    assert collected == {node["name"] for node in graph["nodes"] if node["parameters"]}
