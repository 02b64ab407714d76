"""The small language model and its tokenizer: against the formula in float64, what is looked at, what is refused."""

import math

import pytest
import torch
from torch.nn import functional

import intrinsic
from intrinsic.errors import UserError
from intrinsic.models.characters import Characters
from intrinsic.models.decoder import Decoder
from intrinsic.surgery.head import find_head

SIZES = {"objective": "causal", "context": 8, "width": 8, "depth": 2, "heads": 2, "dropout": 0.0}


def decoder(length=6, **options):
    torch.manual_seed(0)
    model = Decoder((2, length), 11, **{**SIZES, **options})
    for parameter in model.parameters():  # away from zero biases and small embeddings
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def texts(count=3, length=6):
    ids = torch.randint(1, 11, (count, length), generator=torch.Generator().manual_seed(1))
    return torch.stack([ids, torch.zeros_like(ids)], 1)


def naive(w, ids, heads):
    """Token by token, head by head, in float64: each looks at itself and at those before it."""
    x = [w["embedding.weight"][token] + w["positions"][t] for t, token in enumerate(ids)]

    def layer(name, v):
        return w[f"{name}.weight"] @ v + w[f"{name}.bias"]

    def norm(name, v):
        centred = v - v.mean()
        return centred / (centred.square().mean() + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]

    for block in ("blocks.0", "blocks.1"):
        seen = [norm(f"{block}.norm1", v) for v in x]
        query, key, value = (
            [layer(f"{block}.attention.{each}", v) for v in seen] for each in ("query", "key", "value")
        )
        for t in range(len(x)):
            mixed, size = [], len(x[0]) // heads
            for h in range(heads):
                part = slice(h * size, (h + 1) * size)
                scores = torch.stack([query[t][part] @ key[s][part] / math.sqrt(size) for s in range(t + 1)])
                shares = scores.exp() / scores.exp().sum()
                mixed.append(sum(share * value[s][part] for s, share in enumerate(shares)))
            x[t] = x[t] + layer(f"{block}.attention.output", torch.cat(mixed))
        for t in range(len(x)):
            up = layer(f"{block}.up", norm(f"{block}.norm2", x[t]))
            x[t] = x[t] + layer(f"{block}.down", up * (1 + torch.erf(up / math.sqrt(2))) / 2)
    return torch.stack([layer("head", norm("norm", v)) for v in x])


def test_logits_are_those_of_the_formula():
    model = decoder().double()
    inputs = texts()
    outputs, weights = model(inputs), {name: tensor.detach() for name, tensor in model.state_dict().items()}
    for row, found in zip(inputs[:, 0].tolist(), outputs, strict=True):
        torch.testing.assert_close(found, naive(weights, row, 2))


def test_it_looks_back_alone_and_padding_is_nothing():
    model, inputs = decoder(), texts()
    other = inputs.clone()
    other[:, 0, 4:] = -1
    torch.testing.assert_close(model(inputs)[:, :4], model(other)[:, :4])
    torch.testing.assert_close(model(inputs)[:, :4], model(inputs[..., :4]))
    assert not torch.allclose(model(inputs)[:, 5], model(other)[:, 5])


def test_parts_have_their_names_and_counts():
    model = decoder()
    assert find_head(model) == "head"
    width, depth = SIZES["width"], SIZES["depth"]
    blocks = depth * (12 * width**2 + 13 * width)
    assert sum(p.numel() for p in model.parameters()) == blocks + width * (11 + 8 + 2) + 11 * (width + 1)


@pytest.mark.parametrize(
    "space",
    [intrinsic.LoRA(rank=2), intrinsic.LoRAXS(rank=2), intrinsic.Adapter(bottleneck=2), intrinsic.Prefix(length=2)],
)
def test_spaces_of_transformers_start_at_nothing_and_learn(space):
    model, inputs = decoder(), texts()
    before = model(inputs).detach()
    net = intrinsic.Subspace(model, space=space, head="freeze", seed=0)
    torch.testing.assert_close(net(inputs), before)
    loss = functional.cross_entropy(net(inputs).flatten(0, 1), inputs[:, 0].flatten())
    loss.backward()
    assert sum(parameter.grad.norm() for parameter in net.parameters() if parameter.grad is not None) > 0


def test_a_tokenizer_of_characters():
    cut = Characters(characters="01=", max_length=5)
    assert (cut.size, cut.end, cut.special) == (4, 0, (0,))
    assert cut.encode(["10", "", "=0"], opens=True) == [[2, 1], [], [3, 1]]
    assert cut.decode([[2, 1, 0], [], [3]]) == ["10", "", "="]
    found = cut([("1=",), ("000000",)])
    assert found["ids"].tolist() == [2, 3, 0, 1, 1, 1, 1, 1]  # a long one is cut off
    assert found["lengths"].tolist() == [3, 5]
    assert cut([("1", "0")])["kinds"].tolist() == [0, 1, 1]
    assert cut.fingerprint != Characters(characters="01=", max_length=6).fingerprint
    assert cut.fingerprint != Characters(characters="0=1", max_length=5).fingerprint
    with pytest.raises(
        UserError, match=r"^the tokenizer knows no character 'a', only '01=': add it to tokenizer\.chara"
    ):
        cut.encode(["1a"], opens=False)
    with pytest.raises(UserError, match="a tokenizer of characters has no chat template"):
        cut.render([{"role": "user", "content": "1"}], answered=False)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: decoder(heads=3), "need width divisible by heads, got width=8, heads=3"),
        (lambda: decoder(length=9), r"need texts of at most context=8 tokens, got 9: raise model\.context"),
        (lambda: decoder(objective="masked"), "need objective=causal, got objective='masked'"),
        (lambda: decoder(depth=0), "need an integer depth >= 1, got depth=0"),
        (lambda: decoder(depth=100_000), r"need depth <= 10000, got depth=100000|more than the .* at hand"),
        (lambda: decoder(dropout=1), "need 0 <= dropout < 1, got dropout=1"),
        (lambda: Decoder((1, 8, 8), 10, **SIZES), r"need texts cut by a tokenizer, \(2, length\), got \(1, 8, 8\)"),
        (lambda: Decoder((2, 8), 0, **SIZES), "need an integer num_outputs >= 1, got num_outputs=0"),
        (lambda: Characters(characters="aa", max_length=5), "as a text, each character once, got 'aa'"),
        (lambda: Characters(characters=5, max_length=5), "as a text, each character once, got 5"),
        (lambda: Characters(characters="a", max_length=1), "need an integer max_length >= 2, got max_length=1"),
    ],
)
def test_bad_arguments(make, match):
    with pytest.raises(UserError, match=match):
        make()
