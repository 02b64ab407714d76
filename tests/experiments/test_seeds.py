"""A seed for each source of chance: what it changes and what it leaves, bit for bit, and what is refused."""

from itertools import combinations, product

import pytest
import torch
from torch.nn import functional as F

from experiments.config.check_once import check_once
from experiments.config.resolvers import latin_square
from experiments.run.check_alike import check_alike
from experiments.run.check_seeds import check_seeds
from experiments.run.setup import Setup
from experiments.run.train import train
from hydra_plugins.grid_sweeper import _grouped
from intrinsic.errors import UserError
from intrinsic.files.run_id import run_id
from intrinsic.files.seed_of import SOURCES
from intrinsic.files.tensors import read_tensors
from intrinsic.training.fit import fit
from tests.support.commands import QUICK, assert_one_line, run
from tests.support.configs import composed

pytestmark = pytest.mark.slow

DROPS = ["method=subspace", "dim=10", *QUICK.split(), "epochs=1", "model.dropout=0.3", "device=cpu", "threads=1"]


def drawn(*overrides):
    """What each source draws for a run: theta_0, P, the examples in their order, and the masks of dropout."""
    setup = Setup(composed(*DROPS, *overrides))
    net, task = setup.net, setup.task
    found = {
        "init": [p.clone() for p in net.model.parameters()],
        "projection": list(net.projection.fixed_tensors().values()),
    }
    found |= {"order": [], "dropout": []}

    def drop(x):
        if not net.training:
            return x
        found["dropout"].append(F.dropout(torch.ones_like(x), 0.3))
        return x * found["dropout"][-1]

    def look(module, given):
        if module.training:
            found["order"].append(given[0])

    net.model.dropout.forward = drop
    net.model.register_forward_pre_hook(look)
    list(fit(net, task, setup.optimizer, **setup.numbers, **setup.training_seeds))
    return {source: torch.cat([t.flatten().double() for t in tensors]) for source, tensors in found.items()}


def test_ten_projections_have_theta_0_the_order_and_dropout_in_common():
    runs = [drawn(f"seeds.projection={seed}") for seed in range(10)]
    for source in ("init", "order", "dropout"):
        assert all(torch.equal(runs[0][source], other[source]) for other in runs)
    assert not any(torch.equal(a["projection"], b["projection"]) for a, b in combinations(runs, 2))


def test_a_seed_by_itself_gives_the_bits_that_this_seed_gives_to_its_source():
    zero, three = drawn("seed=0"), drawn("seed=3")
    for source in SOURCES:
        own = drawn("seed=0", f"seeds.{source}=3")
        assert {other for other in SOURCES if torch.equal(own[other], three[other])} == {source}
        assert {other for other in SOURCES if torch.equal(own[other], zero[other])} == set(SOURCES) - {source}


def test_four_seeds_are_one(tmp_path):
    one = composed(*DROPS, "seed=3")
    four = composed(*DROPS, *(f"seeds.{source}=3" for source in SOURCES))
    found = []
    for name, config in (("one", one), ("four", four)):
        record = train(config, tmp_path / name)
        found.append(
            (read_tensors(tmp_path / name / "trained.safetensors")[0], record.last["test"], record.fingerprint)
        )
    assert found[0][1:] == found[1][1:]
    assert all(torch.equal(tensor, found[1][0][name]) for name, tensor in found[0][0].items())
    assert run_id(one) != run_id(four)


def test_what_a_space_draws_is_of_init():
    def a(*overrides):
        return Setup(composed("method=lora", *QUICK.split(), *overrides)).net.model.state_dict()

    own, three, zero = a("seeds.init=3"), a("seed=3"), a()
    assert all(torch.equal(tensor, three[name]) for name, tensor in own.items())
    assert any(not torch.equal(tensor, zero[name]) for name, tensor in own.items() if "lora" in name.lower())


def test_seeds_count_in_the_id_where_they_are_set():
    config = composed()
    before = {key: value for key, value in config.items() if key != "seeds"}
    assert config["seeds"] == dict.fromkeys(SOURCES)
    assert run_id(config) == run_id(before)
    ids = {run_id({**before, "seeds": {**config["seeds"], source: seed}}) for source in SOURCES for seed in (0, 1)}
    assert len(ids | {run_id(before)}) == 9


REFUSED = [
    ("seeds.init=-1", "need an integer seeds.init >= 0, got seeds.init=-1"),
    ("seeds.order=abc", "need an integer seeds.order >= 0, got seeds.order='abc'"),
    ("seeds.dropout=true", "need an integer seeds.dropout >= 0, got seeds.dropout=True"),
    ("+seeds.data=1", "there is no seeds.data: need one of seeds.init, seeds.projection, seeds.order, seeds.dropout"),
    ("method=lora seeds.projection=1", "seeds.projection=1 does nothing with projection=identity: use another"),
    ("init=zero seeds.init=1", r"seeds.init=1 does nothing with theta_0 that init brings along .*: use init=scratch"),
    ("model.dropout=0 seeds.dropout=1", "seeds.dropout=1 does nothing with a model without dropout: set it, or use"),
    (
        "seed=1 model.dropout=0 seeds.init=1 seeds.order=1 seeds.projection=1",
        "seed=1 does nothing beside seeds.init, seeds.projection, seeds.order: leave it out, or one of these",
    ),
]  # fmt: skip


def check(setup):
    setup.check()
    check_seeds(setup)


@pytest.mark.parametrize(("overrides", "match"), REFUSED)
def test_what_draws_nothing_is_refused(overrides, match):
    own = overrides.split()
    usual = [each for each in DROPS if not ("method=lora" in own and each.startswith("dim="))]
    setup = Setup(composed(*usual, *own))
    with pytest.raises(UserError, match=match):
        check(setup)


def test_a_look_for_dropout_leaves_the_net_as_it_was():
    setup = Setup(composed(*DROPS, "seeds.dropout=1"))
    before, state = {name: t.clone() for name, t in setup.net.state_dict().items()}, torch.get_rng_state()
    check_seeds(setup)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in setup.net.state_dict().items())


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        (["seeds.init=1", "lr=0.1", "seeds.init=2"], "seeds.init is given twice, 1 and 2: give it once"),
        (["seed=0,1", "seed=2"], "seed is given twice, 0,1 and 2"),
        (["seeds.order=0,1,0"], "seeds.order=0,1,0 names 0 twice: the two would be one run"),
    ],
)
def test_a_seed_is_given_once(overrides, match):
    with pytest.raises(UserError, match=match):
        check_once(overrides)


def test_a_command_refuses_it_in_one_line(tmp_path, capsys):
    for command in ("seeds.init=1 seeds.init=2", "-m seeds.init=1,1"):
        assert run(f"{command} {QUICK}", tmp_path) == 2
        assert_one_line(capsys.readouterr().err, "twice")
    assert run("seeds=5", tmp_path) == 2
    assert_one_line(capsys.readouterr().err, "seeds")


def test_replicas_have_seeds_apart_but_for_dropout():
    runs = [["dim=9", f"seeds.projection={p}", f"seeds.init={i}", "lr=0.1"] for p in (0, 1) for i in (2, 3)]
    (job,) = _grouped(dict(enumerate(runs)), 4)
    assert job.overrides[1].startswith(
        "batch=[{lr:0.1,seeds:{projection:0,init:2}},{lr:0.1,seeds:{projection:0,init:3}},"
    )
    one, other = (Setup(composed(*DROPS, f"seeds.projection={seed}")) for seed in (0, 1))
    check_alike(other, one)
    with pytest.raises(UserError, match=r"replicas draw their dropout together, got seeds.dropout=4: use replicas=1"):
        check_alike(Setup(composed(*DROPS, "seeds.dropout=4")), one)


@pytest.mark.parametrize("size", [3, 5, 7])
def test_latin_squares_meet_every_pair_once(size):
    runs = [(i, j, latin_square(i, j, size), latin_square(i, j, size, 2)) for i, j in product(range(size), repeat=2)]
    for a, b in combinations(range(4), 2):
        assert len({(run[a], run[b]) for run in runs}) == size**2
    assert latin_square(None, 1, size) is None
    with pytest.raises(UserError, match=f"without a divisor in common with size={size}, got step={size}"):
        latin_square(0, 0, size, size)
