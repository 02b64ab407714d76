"""Many tasks over one base: switching is exact, and a mixed batch gives what one task at a time gives."""

import copy

import pytest
import torch
from torch import nn

import intrinsic
from tests.support.bank_tasks import METHODS, TOKENS, Net, logits, trained
from tests.support.filled_bank import filled


@pytest.mark.parametrize("keep", [True, False])
def test_switching_is_exact(keep, tmp_path):
    bank, nets = filled(*METHODS, keep=keep)
    base = copy.deepcopy(bank.model.state_dict())
    for name, net in nets.items():
        intrinsic.save(net, tmp_path / name)
    order = [*METHODS, None] * 3
    for step, name in enumerate(sorted(order, key=str)[:: -1 if keep else 1]):
        bank.use(name)
        assert bank.active == name
        assert logits(bank, (TOKENS + step) % 9).shape == (6, 3)
    for name in METHODS:
        fresh = intrinsic.load(Net(), tmp_path / name).eval()
        expected = logits(fresh, TOKENS)
        torch.testing.assert_close(logits(bank.use(name), TOKENS), expected, atol=0, rtol=0)  # bit for bit
        with torch.no_grad():
            weights = fresh.weights()
        assert all(torch.equal(bank._tree[0].get_parameter(key), weight) for key, weight in weights.items())
    torch.testing.assert_close(logits(bank.use(None), TOKENS), logits(Net().eval(), TOKENS), atol=0, rtol=0)
    assert all(torch.equal(tensor, base[name]) for name, tensor in bank.model.state_dict().items())


@pytest.mark.parametrize("name", METHODS)
def test_files_and_nets_give_the_same(name, tmp_path):
    net = trained(METHODS[name], norm=True)
    intrinsic.save(net, tmp_path / "task.safetensors")
    bank = intrinsic.Bank(Net())
    bank.add("net", net)
    bank.add("file", tmp_path / "task.safetensors")
    for task in ("net", "file"):
        torch.testing.assert_close(logits(bank.use(task), TOKENS), logits(net, TOKENS), atol=0, rtol=0)
    torch.testing.assert_close(logits(bank.merge("file"), TOKENS), logits(net.merge(), TOKENS), atol=0, rtol=0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()  # the bank has its own
    before = logits(bank.use("file"), TOKENS)
    torch.testing.assert_close(logits(bank.use("net"), TOKENS), before, atol=0, rtol=0)


def resident(bank):
    """The bytes of every tensor that the bank reaches, each storage once."""
    modules = {id(m): m for root in (bank, bank._tree[0]) for m in root.modules()}.values()
    tensors = [t for m in modules for t in (*m._parameters.values(), *m._buffers.values()) if t is not None]
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())


def test_memory_is_the_base_and_what_was_trained():
    bank, nets = filled(*METHODS, keep=False)
    buffers = sum(b.nbytes for b in Net().buffers())
    base = sum(p.nbytes for p in Net().parameters()) + buffers
    own = sum(sum(p.nbytes for p in net.parameters()) + buffers for net in nets.values())
    # factors that z moves start from numbers of their own
    own += sum(
        p.nbytes for net in nets.values() for name, p in net.weights().items() if "lora" in name and not net.identity
    )
    assert resident(bank) == base + own
    bank.use("subspace")
    assert resident(bank) == base + own + sum(p.nbytes for p in Net().parameters()) + buffers
    bank.use(None)
    assert resident(bank) == base + own
    kept = intrinsic.Bank(Net())
    kept.add("one", trained(METHODS["subspace"]))
    one = resident(kept)
    other = trained(METHODS["subspace"])
    other.z.data += 1
    kept.add("two", other)  # the same seed, the same P
    assert resident(kept) == one + other.z.nbytes + buffers


def test_running_statistics_are_a_tasks_own():
    bank = intrinsic.Bank(Net())
    bank.add("plain", trained(METHODS["lora"], 0))
    bank.add("moved", trained(METHODS["lora"], 1, norm=True))
    tasks = ["plain", "moved"] * 3
    expected = [logits(bank.use(task), TOKENS)[row] for row, task in enumerate(tasks)]
    torch.testing.assert_close(logits(bank, TOKENS, tasks=tasks), torch.stack(expected))


def test_heads_of_other_sizes(tmp_path):
    bank = intrinsic.Bank(Net(3))
    five = trained(METHODS["lora"], 1, outputs=5)
    intrinsic.save(five, tmp_path / "five")
    bank.add("three", trained(METHODS["lora"]))
    with pytest.raises(intrinsic.UserError, match="belongs to another model"):
        bank.add("five", five)
    bank.add("five", five, head=nn.Linear(16, 5))
    bank.add("file", tmp_path / "five", head=nn.Linear(16, 5))
    for name in ("five", "file"):
        torch.testing.assert_close(logits(bank.use(name), TOKENS), logits(five, TOKENS), atol=0, rtol=0)
    assert logits(bank.use("three"), TOKENS).shape == (6, 3)
    mixed = logits(bank, TOKENS, tasks=["five", "file"] * 3)
    torch.testing.assert_close(mixed, logits(five, TOKENS))
    with pytest.raises(intrinsic.UserError, match=r"different sizes cannot be one batch: three \(3,\), five \(5,\)"):
        bank(TOKENS, tasks=["three", "five"] * 3)
    projected = trained({"projection": intrinsic.OneHot, "dim": 30}, outputs=5)
    bank.add("projected", projected, head=Net(5).head)  # theta_0 includes the head
    torch.testing.assert_close(logits(bank.use("projected"), TOKENS), logits(projected, TOKENS), atol=0, rtol=0)
    with pytest.raises(intrinsic.UserError, match="trained on another base, or on a head"):
        bank.add("other", projected, head=nn.Linear(16, 5))


def test_over_an_int8_base(tmp_path):
    for seed, name in enumerate(("lora", "unilora")):
        net = intrinsic.Subspace(intrinsic.quantize(Net()), seed=seed, **METHODS[name])
        with torch.no_grad():
            for parameter in net.parameters():
                parameter += 0.1
        intrinsic.save(net, tmp_path / name)
    bank = intrinsic.Bank(intrinsic.quantize(Net()))
    for name in ("lora", "unilora"):
        bank.add(name, tmp_path / name)
    expected = [logits(bank.use(name), TOKENS) for name in ("lora", "unilora")]
    mixed = logits(bank, TOKENS, tasks=["lora"] * 3 + ["unilora"] * 3)
    torch.testing.assert_close(mixed, torch.cat([expected[0][:3], expected[1][3:]]))
    codes = [
        m.quantized.data_ptr()
        for net in map(bank.net, bank.tasks)
        for m in net.model.modules()
        if hasattr(m, "quantized")
    ]
    assert len(set(codes)) == 2  # two layers, held once


def test_tasks_come_and_go():
    bank, nets = filled("lora", "subspace")
    assert bank.tasks == ["lora", "subspace"]
    bank.use("lora").remove("lora")
    assert (bank.tasks, bank.active) == (["subspace"], None)
    bank.add("lora", nets["lora"])
    torch.testing.assert_close(logits(bank.use("lora"), TOKENS), logits(nets["lora"], TOKENS), atol=0, rtol=0)
    assert not any(parameter.requires_grad for parameter in bank.parameters())
    x = bank.use("subspace")(TOKENS)["logits"]
    assert not x.requires_grad


@pytest.mark.parametrize(
    ("act", "complaint"),
    [
        (lambda bank, net: bank.add("lora", net), "need a name for the task that is new"),
        (lambda bank, net: bank.add("a.b", net), "has no dot"),
        (lambda bank, net: bank.add("x", "nowhere.safetensors"), "there is no file"),
        (lambda bank, net: bank.use("mnli"), "the bank has no task 'mnli': it has lora"),
        (lambda bank, net: bank(TOKENS, tasks=["lora"] * 5), "got 5 tasks for 6 rows"),
        (lambda bank, net: bank(TOKENS, tasks=["lora"] * 5 + ["mnli"]), "no task 'mnli'"),
        (lambda bank, net: bank.train(), "a bank serves what has been trained"),
        (lambda bank, net: intrinsic.Bank(net), "before any method was put into it"),
        (lambda bank, net: intrinsic.Bank(net.model), "before any method was put into it"),
    ],
)
def test_bad_input(act, complaint):
    bank, nets = filled("lora")
    with pytest.raises(intrinsic.UserError, match=complaint):
        act(bank, nets["lora"])
    torch.testing.assert_close(logits(bank.use("lora"), TOKENS), logits(nets["lora"], TOKENS), atol=0, rtol=0)


def test_a_task_of_another_base_is_refused():
    base = Net()
    base.second.weight.data += 1e-3
    bank, net = intrinsic.Bank(base), trained(METHODS["lora"])
    with pytest.raises(intrinsic.UserError, match="trained on another base"):
        bank.add("lora", net)
    assert bank.tasks == []
    assert not any(parameter.requires_grad for parameter in base.parameters())


@pytest.mark.parametrize("options", [METHODS["lora"], {"head": "train", **METHODS["subspace"]}, {}, METHODS["bitfit"]])
def test_what_would_change_the_base_is_refused(options):
    """A net of z alone may stand around the bank's own model: its calls leave no trace."""
    bank, base = intrinsic.Bank(model := Net()), logits(Net().eval(), TOKENS)
    with pytest.raises(intrinsic.UserError, match="the model is the base of a Bank"):
        intrinsic.Subspace(model, **options)
    net = intrinsic.Subspace(model, **METHODS["subspace"])
    with torch.no_grad():
        net.z += 1
    bank.add("own", net)
    assert torch.equal(logits(bank, TOKENS), base)
    assert torch.equal(logits(bank.use("own"), TOKENS), logits(net, TOKENS))
    del bank
    net.unwrap()
    trains = intrinsic.Subspace(model)
    with pytest.raises(intrinsic.UserError, match="the model is in another Subspace"):
        intrinsic.Bank(model)
    assert all(parameter.requires_grad for parameter in trains.parameters())


def load(bank):
    state = bank.state_dict()
    changed = {n: t + 0.1 if t.is_floating_point() else t for n, t in state.items() if not n.startswith("model.")}
    bank.load_state_dict(state | changed)


def write(bank):
    for name in bank.tasks:
        for parameter in bank.net(name).parameters():
            parameter += 0.1


CHANGES = {
    "loaded": load,
    "written to": write,
    "statistics": lambda bank: [bank.net(name).model.norm.running_mean.add_(0.1) for name in bank.tasks],
    "base": lambda bank: bank.model.first.weight.add_(0.1),
    "copied": lambda bank: write(copy.deepcopy(bank)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("copied", [False, True])
def test_what_is_kept_follows_the_numbers(change, copied):
    """Of the task in use, and of the mixture of the last call."""
    bank, _ = filled("lora", "unilora", "subspace")
    bank, tasks = copy.deepcopy(bank) if copied else bank, ["lora", "unilora", "subspace"] * 2
    for active in ("subspace", "unilora", "lora"):
        before = logits(bank.use(active), TOKENS), logits(bank, TOKENS, tasks=tasks)
        with torch.no_grad():
            CHANGES[change](bank)
        found = logits(bank, TOKENS), logits(bank, TOKENS, tasks=tasks)
        assert all(torch.equal(*pair) == (change == "copied") for pair in zip(found, before, strict=True))
        assert torch.equal(found[0], logits(bank.use(active), TOKENS))
        expected = [logits(bank.use(task), TOKENS)[row] for row, task in enumerate(tasks)]
        torch.testing.assert_close(found[1], torch.stack(expected))
