"""Language models that read patches of images, against the blocks themselves."""

import pytest
import torch

import intrinsic
from intrinsic.errors import UserError
from intrinsic.models.hf_patches import hf_patches
from tests.support.tiny import make_folder

transformers = pytest.importorskip("transformers")


def make(folder, *, shape=(1, 8, 8), seed=0, **changes):
    torch.manual_seed(seed)
    options = {"name": str(folder), "source": "hub", "patch": 4, "layers": None, "dropout": None}
    return hf_patches(shape, 3, **{**options, **changes}).eval()


@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama"])
def test_patches_stand_where_words_do(kind, tmp_path):
    folder = make_folder(tmp_path / "model", kind)
    net, blocks = make(folder, shape=(2, 8, 12)), transformers.AutoModel.from_pretrained(folder).eval()
    images = torch.rand(5, 2, 8, 12, generator=torch.Generator().manual_seed(1))
    E = net.embedding.weight.flatten(1)  # (width, 2 * 16)
    patches = [images[:, :, y : y + 4, x : x + 4].flatten(1) @ E.T for y in (0, 4) for x in (0, 4, 8)]
    with torch.no_grad():
        states = blocks(inputs_embeds=torch.stack(patches, 1)).last_hidden_state
        expected = states.mean(1) @ net.head.weight.T + net.head.bias
        torch.testing.assert_close(net(images), expected, atol=1e-5, rtol=1e-5)  # sums in another order
    assert blocks.get_input_embeddings().weight.std().item() == pytest.approx(E.std().item() * 32**0.5, rel=0.2)
    assert not [name for name, _ in net.named_parameters() if "word" in name or "wte" in name or "embed_tokens" in name]


def test_where_it_starts(tmp_path):
    folder = make_folder(tmp_path / "model")
    same, other = make(folder), make(folder, seed=1)
    blocks = dict(same.blocks.named_parameters())
    assert all(torch.equal(p, blocks[name]) for name, p in other.blocks.named_parameters())
    assert not torch.equal(same.embedding.weight, other.embedding.weight)
    key = "encoder.layer.0.output.dense.weight"
    assert not torch.equal(make(folder, source=None, seed=1).blocks.get_parameter(key), blocks[key])
    rates = [
        {m.p for m in net.modules() if isinstance(m, torch.nn.Dropout)} for net in (same, make(folder, dropout=0.0))
    ]
    assert rates == [{0.1}, {0.0}]
    assert len(make(folder, layers=1).blocks.encoder.layer) == 1


@pytest.mark.parametrize("space", [intrinsic.LoRA(2), intrinsic.IA3(), intrinsic.Prefix(2), intrinsic.Adapter(2)])
def test_spaces_find_their_places(space, tmp_path):
    net = make(make_folder(tmp_path / "model"))
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    before = net(images)
    around = intrinsic.Subspace(net, space=space, head="train").eval()
    torch.testing.assert_close(around(images), before)
    around(images).square().sum().backward()
    assert all(p.grad is not None for p in around.parameters())


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"patch": 3}, r"sides divisible by patch=3, got \(1, 8, 8\): use another patch"),
        ({"shape": (2, 7)}, r"need images .* got \(2, 7\): .* or model=hf for texts"),
        ({"source": {"epochs": 3}}, "hf_patches starts at init=hub"),
        ({"patch": 1}, r"reads 20 places, got 64 of \(1, 8, 8\): use a larger patch"),
        ({"dropout": 1}, "hf_patches: need 0 <= dropout < 1, got dropout=1"),
        ({"layers": 9}, "need 1 <= model.layers <= 2"),
        ({"name": None}, "name"),
    ],
)
def test_refusals(changes, match, tmp_path):
    folder = make_folder(tmp_path / "model", max_position_embeddings=20)
    with pytest.raises(UserError, match=match):
        make(folder, **changes)


def test_two_stacks_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"is not one stack of blocks \(t5\): need an encoder or a decoder"):
        make(make_folder(tmp_path / "model", "t5"))
