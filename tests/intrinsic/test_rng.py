"""Streams of random numbers: known answers, addressability, distribution."""

import numpy as np
import pytest
from scipy import stats

from intrinsic import rng
from intrinsic.errors import UserError


def test_philox_gives_the_published_known_answers():
    # kat_vectors of Random123 (Salmon et al. 2011) for philox4x32-10: counter and key zero, then digits of pi
    assert [hex(word) for word in rng.bits(0, 4)] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    counter, lane, key = 0x85A308D3_243F6A88, 0x03707344_13198A2E, 0x299F31D0_A4093822
    words = rng.bits(key, 4, lane=lane, start=4 * counter)
    assert [hex(word) for word in words] == ["0xd16cfe09", "0x94fdcceb", "0x5001e420", "0x24126ea1"]


@pytest.mark.parametrize(("start", "count"), [(0, 1), (1, 7), (3, 1), (131_070, 9), (5, 140_000)])
def test_any_part_of_a_stream_equals_that_part_of_the_whole(start, count):
    whole = rng.bits(7, 150_000, lane=3)
    np.testing.assert_array_equal(rng.bits(7, count, lane=3, start=start), whole[start : start + count])


def test_lanes_and_seeds_are_different_streams():
    streams = [rng.bits(1, 64), rng.bits(2, 64), rng.bits(1, 64, lane=1), rng.bits(1, 64, lane=2**32)]
    assert len({stream.tobytes() for stream in streams}) == 4


def test_distributions():
    n = 200_000
    assert stats.kstest(rng.uniforms(1, n), "uniform").pvalue > 1e-3
    assert stats.kstest(rng.normals(2, n), "norm").pvalue > 1e-3
    signs = rng.signs(3, n)
    assert set(np.unique(signs)) == {-1, 1}
    assert abs(signs.mean()) < 4 / n**0.5
    assert abs((signs[1:] * signs[:-1]).mean()) < 4 / n**0.5


def test_a_permutation_has_every_number_once_and_moves_them():
    order = rng.permutation(5, 1000)
    assert sorted(order) == list(range(1000))
    assert np.mean(order == np.arange(1000)) < 0.02


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_a_permutation_is_the_stable_order_of_keys(count, monkeypatch):
    assert np.array_equal(rng.permutation(5, count), np.argsort(rng.keys(5, count), kind="stable"))
    equal = rng.keys(5, count) >> np.uint64(58)  # many are
    monkeypatch.setattr(rng, "keys", lambda *_: equal)
    assert np.array_equal(rng.permutation(5, count), np.argsort(equal, kind="stable"))


def test_fan_out_separates_purposes():
    seeds = {rng.fan_out(0, "a"), rng.fan_out(1, "a"), rng.fan_out(0, "b"), rng.fan_out(0, "a", 1), rng.fan_out(0)}
    assert len(seeds) == 5
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize("seed", [-1, 1.0, "0", True, None])
def test_a_seed_is_a_non_negative_integer(seed):
    with pytest.raises(UserError, match="need an integer seed >= 0"):
        rng.fan_out(seed, "a")


def test_the_global_state_is_left_alone():
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002
    rng.normals(0, 100)
    rng.permutation(0, 100)
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002
