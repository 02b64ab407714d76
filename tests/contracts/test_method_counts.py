"""The counts that a method reports: trained, head, stored."""

import torch

import intrinsic
from tests.support.methods import DIM, config_of, small, wrap


def test_counts():
    expected = {  # of Small: 6 x 5 tied, 36 + 4, 4 + 4, 41 x 5 + 5, 6 x 3 + 3 numbers
        "full": {"trained": 309, "dim": 309, "full_dim": 309, "head": 21},
        "head": {"trained": 21, "dim": 21, "full_dim": 21, "head": 21},
        "bitfit": {"trained": 4 + 4 + 5 + 21, "dim": 13, "full_dim": 13, "head": 21},
        "subspace": {"trained": DIM, "dim": DIM, "full_dim": 309, "head": 0},
        "said": {"trained": DIM, "dim": DIM, "full_dim": 309, "head": 0},
        "lora": {"trained": 4 * 57, "dim": 4 * 57, "full_dim": 4 * 57, "head": 0},  # rank 4: (41 + 5) + (5 + 6)
        "unilora": {"trained": DIM, "dim": DIM, "full_dim": 4 * 57, "head": 0},
    }
    assert {method: wrap(method, small(method)).count() for method in expected} == expected


def test_counts_of_what_needs_attention():
    def trained(method):
        config = config_of(f"method={method}")
        return wrap(method, small(method)).count()["trained"], config.get("bottleneck"), config.get("length")

    count, m, _ = trained("adapter")
    assert count == 2 * (2 * 4 * m + m + 4)  # behind attention and feed-forward, 4 wide
    count, _, length = trained("prefix")
    assert count == 2 * length * 4 + 2  # keys and values of two heads, 2 wide each, and their gates
    lora = intrinsic.Subspace(small("prefix"), space=intrinsic.LoRA(4)).count()["trained"]
    assert trained("lora_prefix")[0] == lora + count


def test_said_counts_its_scales():
    net = wrap("said", small("said"))
    layers = {"embedding", "convolution", "norm", "inner", "head"}  # the decoder's weight is the embedding's
    assert net.lambdas.shape == (len(layers),)
    assert net.z.shape == (DIM - len(layers),)
    with torch.no_grad():
        net.z.normal_()
        before = {name: weight.clone() for name, weight in net.weights().items()}
        net.lambdas[2] = 3.0
        after = net.weights()
    origin = small("said").state_dict()
    for name, weight in after.items():
        factor = 3.0 if name.startswith("norm.") else 1.0
        torch.testing.assert_close(weight - origin[name], factor * (before[name] - origin[name]))
