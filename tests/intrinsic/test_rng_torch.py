"""The streams of torch are those of numpy, to the bit; so is what is drawn from them."""

import numpy as np
import pytest
import torch
from scipy.special import ndtri

import intrinsic
from intrinsic import rng, rng_torch
from intrinsic.projections.device_draws import certain, dense, draw_on, fastfood, sparse

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SEEDS = [0, (5 << 32) + 3, 2**64 - 1]


@pytest.mark.parametrize("seed", SEEDS)
def test_streams_are_those_of_numpy(seed, monkeypatch):
    monkeypatch.setattr(rng_torch, "_PART", 100)  # counters; several parts, the last one cut
    for count, start in ((1, 0), (7, 3), (1000, 5), (3001, 4)):
        here = {"device": DEVICE, "start": start}
        words = rng_torch.bits(seed, count, lane=2**33 + 1, **here).cpu().numpy().view(np.uint32)
        assert np.array_equal(words, rng.bits(seed, count, lane=2**33 + 1, start=start))
        assert np.array_equal(rng_torch.signs(seed, count, **here).cpu(), rng.signs(seed, count, start=start))
        assert np.array_equal(rng_torch.uniforms(seed, count, **here).cpu(), rng.uniforms(seed, count, start=start))
    assert np.array_equal(rng_torch.permutation(seed, 3000, device=DEVICE).cpu(), rng.permutation(seed, 3000))
    out = torch.zeros(213, 70, dtype=torch.int32, device=DEVICE)
    rng_torch.lanes(seed, 65, 6, out)
    expected = np.stack([rng.bits(seed, 213, lane=lane, start=6) for lane in range(65)], 1)
    assert np.array_equal(out[:, :65].cpu().numpy().view(np.uint32), expected)
    assert not out[:, 65:].any()


def test_what_is_sure_about_normal_numbers_is_so():
    words = np.r_[np.arange(1000), 2**31 + np.arange(-1000, 1000), 2**32 - 1 - np.arange(1000)]  # both ends, the middle
    uniforms = np.r_[(words + 0.5) / 2**32, rng.uniforms(3, 200_000)]
    exact = ndtri(uniforms)
    found = certain.normals(torch.from_numpy(uniforms).to(DEVICE))
    deviation = np.abs(found.cpu().numpy() / exact - 1).max()
    assert deviation <= certain._ERROR / 64
    unsure = certain.uncertain(found, float).cpu().numpy()
    assert 0 <= unsure.sum() < 10  # 2^-42 / 2^-24 of 200,000 and fewer
    assert np.array_equal(found.float().cpu().numpy()[~unsure], exact.astype(np.float32)[~unsure])
    near = torch.tensor([1 + 2.0**-24, 1 + 2.0**-24 + 2.0**-40, 3 - 2.0**-45, 3.5], dtype=torch.float64)
    assert certain.uncertain(near, float).tolist() == [True, False, False, False]
    assert certain.uncertain(near, int).tolist() == [False, False, True, False]


KINDS = {
    "onehot": (intrinsic.OneHot, {}),
    "sparse": (intrinsic.Sparse, {}),
    "kronecker": (intrinsic.Kronecker, {}),
    "fastfood": (intrinsic.Fastfood, {}),
    "fastfood of signs": (intrinsic.Fastfood, {"entries": "signs"}),
    "dense": (intrinsic.Dense, {}),
    "gaussian": (intrinsic.Dense, {"entries": "gaussian"}),
}


@pytest.fixture(params=[False, True], ids=["", "many are uncertain"])
def uncertain(request, monkeypatch):
    if request.param:
        for module in (dense, fastfood, sparse):
            monkeypatch.setattr(
                module, "uncertain", lambda x, rounded: torch.arange(x.numel(), device=x.device).view_as(x) % 97 == 0
            )


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(("dim", "full_dim"), [(33, 4099), (5, 5), (1, 1)])
@pytest.mark.usefixtures("uncertain")
def test_what_torch_draws_is_what_numpy_draws(name, dim, full_dim, monkeypatch):
    kind, options = KINDS[name]
    expected, calls = kind(dim, full_dim, seed=2**64 - 3, **options), []
    monkeypatch.setattr(fastfood, "_PART", 1024)
    monkeypatch.setattr(dense, "_PART", 1024)

    def here(full_dim, draw):
        calls.append(full_dim)
        return draw(DEVICE)

    monkeypatch.setattr("intrinsic.projections.base.draw_there", here)
    found = kind(dim, full_dim, seed=2**64 - 3, **options)
    assert calls == [full_dim]
    assert found.fingerprint() == expected.fingerprint()
    for name, tensor in expected.fixed_tensors().items():
        other = found.fixed_tensors()[name]
        assert (other.dtype, other.device.type) == (tensor.dtype, DEVICE.type)
        assert torch.equal(other.cpu(), tensor)
        assert not other.is_inference()


def test_only_large_projections_are_drawn_elsewhere(monkeypatch):
    monkeypatch.setattr(draw_on, "LEAST", 1000)
    seen = []

    def draw(device):
        seen.append(device)
        return {"a": torch.ones(1)}

    assert draw_on.draw_there(2000, draw) == {}
    with draw_on.draw_on(torch.device("cpu")):
        assert draw_on.draw_there(2000, draw) == {}
    with draw_on.draw_on(torch.device("cpu"), least=1):
        assert set(draw_on.draw_there(1, draw)) == {"a"}
    with draw_on.draw_on(torch.device("cuda:1")):
        assert draw_on.draw_there(999, draw) == draw_on.draw_there(2**31, draw) == {}
        assert set(draw_on.draw_there(2000, draw)) == {"a"}
    assert seen == [torch.device("cpu"), torch.device("cuda:1")]
    assert draw_on.draw_there(2000, draw) == {}


def test_what_does_not_fit_is_drawn_on_the_cpu_and_said():
    def draw(device):
        raise torch.OutOfMemoryError

    said = pytest.warns(RuntimeWarning, match="P of 10000000 weights is drawn on the CPU: it does not fit")
    with draw_on.draw_on(torch.device("cuda")), said:
        assert draw_on.draw_there(10**7, draw) == {}
