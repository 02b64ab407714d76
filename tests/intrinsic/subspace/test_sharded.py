"""A model that FSDP2 has sharded over a group of one process: what loops do with it, and what is refused.

Two processes are in `test_two_processes`.
"""

import os
from types import MethodType

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

import intrinsic
from intrinsic.errors import UserError
from tests.support.loop_net import DIM, Net, batches
from tests.support.padded import TEXTS, Mean, make
from tests.support.sharded_nets import LORA, mesh, model, outputs, sharded, train

pytestmark = pytest.mark.slow  # the import of FSDP2 takes seconds


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A group of this process alone."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    folder = tmp_path_factory.mktemp("world")
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=0, world_size=1)
    yield mesh(1)
    dist.destroy_process_group()


def subspace(net, **options):
    return intrinsic.Subspace(net, **{"projection": intrinsic.Fastfood, "dim": DIM, "seed": 3} | options)


def test_accumulated_and_clipped_gradients_and_hooks(world):
    found = []
    for net in (model(), sharded(model(), world)):
        net = subspace(net)
        seen, gradients = [], []
        net.z.register_post_accumulate_grad_hook(lambda z, seen=seen: seen.append(z.grad.norm().item()))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        for x, y in batches(4, dtype=torch.float64):
            for half in (slice(0, 4), slice(4, 8)):
                (F.cross_entropy(net(x[half]), y[half]) / 2).backward()
            outputs(net)
            gradients.append(float(nn.utils.clip_grad_norm_(net.parameters(), 0.1)))
            optimizer.step()
            net.zero_grad()
            assert net.z.grad is None
        found.append(torch.tensor([*seen, *gradients, *net.z.tolist()], dtype=torch.float64))
    torch.testing.assert_close(*found, atol=1e-9, rtol=0)


def _in_autocast(net):
    """As accelerate does for mixed precision."""
    net.forward = MethodType(torch.autocast("cpu", enabled=False)(net.forward.__func__), net)


def _by_a_function(net):
    model = net.model
    net.forward = lambda x: 2 * model(x)


def test_a_row_of_padding_stays(world):
    found, texts = [], torch.tensor([[1, 4, 3, 3], [2, 0, 5, 3]])
    for place in (lambda net: net, lambda net: sharded(net, world, parts=("",))):
        torch.manual_seed(0)
        net = subspace(place(nn.Sequential(nn.Embedding(6, 4, padding_idx=3), nn.Flatten(), nn.Linear(16, 2)).double()))
        with torch.no_grad():
            net.z.add_(0.1)
        net(texts).square().sum().backward()
        found.append(net.z.grad)
    torch.testing.assert_close(*found)


def test_an_older_file_and_the_next_one_move_the_row_of_padding(world, tmp_path):
    """Versions that moved it wrote the fingerprint of P with all of its rows; so does who goes on from their files."""
    older, path = make(), tmp_path / "net"
    older.zero_rows.clear()
    intrinsic.save(older, path)
    torch.manual_seed(1)
    net = subspace(sharded(Mean().double(), world, parts=("",)), dim=10, seed=0)
    intrinsic.load(net, path)
    intrinsic.save(net, path)
    torch.manual_seed(1)
    assert torch.equal(intrinsic.load(Mean().double(), path)(TEXTS), older(TEXTS))


@pytest.mark.parametrize("replace", [_in_autocast, _by_a_function])
def test_a_function_in_the_place_of_forward(world, replace):
    x, y = batches(1, dtype=torch.float64)[0]
    found = []
    for net in (model(), sharded(model(), world)):
        net = subspace(net)
        replace(net)
        with torch.no_grad():
            net.z.add_(0.1)
            evaluated = net(x)
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        found.append([evaluated, loss.detach(), net.z.grad])
        assert not net.is_under_way()
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=0)  # sums in another order


def test_gradients_wait_for_the_last_of_several_passes(world):
    net = subspace(sharded(model(), world))
    assert net.leaves() is None
    x, y = batches(1, dtype=torch.float64)[0]
    F.cross_entropy(net(x), y).backward()
    expected, net.z.grad = net.z.grad, None
    for last, half in ((False, slice(0, 4)), (True, slice(4, 8))):
        net.model.set_requires_gradient_sync(last)
        assert net.z.grad is None
        (F.cross_entropy(net(x[half]), y[half]) / 2).backward()
    torch.testing.assert_close(net.z.grad, expected, atol=1e-9, rtol=0)


def test_a_backward_pass_that_failed_leaves_nothing(world):
    net = subspace(sharded(Net().double(), world, ("head", "second", "")))
    x, y = batches(1, dtype=torch.float64)[0]
    F.cross_entropy(net(x), y).backward()
    expected, net.z.grad = net.z.grad, None
    hook = net.model.norm.register_full_backward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        F.cross_entropy(net(x), y).backward()
    hook.remove()
    net.model.reset_iter_state()
    F.cross_entropy(net(x), y).backward()
    torch.testing.assert_close(net.z.grad, expected, atol=0, rtol=0)


def test_unwrap_leaves_the_model_as_it_was(world):
    net = sharded(model(), world)
    before = {name: (p.to_local().clone(), p.requires_grad) for name, p in net.named_parameters()}
    over = subspace(net)
    train(over)
    assert not net.head.weight.to_local().equal(before["head.weight"][0])
    assert over.unwrap() is net
    for name, parameter in net.named_parameters():
        assert parameter.to_local().equal(before[name][0])
        assert parameter.requires_grad == before[name][1]
    subspace(net)  # and another may come


def test_the_fingerprint_follows_what_is_frozen(world):
    net = intrinsic.Subspace(sharded(model(), world), space=LORA)
    before = net.fingerprint()
    assert before == intrinsic.Subspace(model(), space=LORA).fingerprint() == net.fingerprint()
    with torch.no_grad():
        net.model.head.weight.add_(1)
    assert net.fingerprint() != before


def test_another_base_is_noticed_in_a_file(world, tmp_path):
    intrinsic.save(subspace(sharded(model(), world)), tmp_path / "a.safetensors")
    other = model()
    other.second.bias.data[3] += 1
    with pytest.raises(UserError, match="belongs to another model or seed"):
        intrinsic.load(sharded(other, world), tmp_path / "a.safetensors")
    with pytest.raises(UserError, match="cannot use the path"):
        intrinsic.save(subspace(sharded(model(), world)), tmp_path / "none" / "\0")


class Kind(intrinsic.Subspace):
    """Somebody's own."""


def test_what_is_not_supported_is_one_line(world):
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    def refused(message, make):
        with pytest.raises(UserError, match=message) as error:
            make()
        assert "\n" not in str(error.value)

    first = "fully_shard was called around a Subspace: call it on the model's parts and on the model first"
    refused(first, lambda: fully_shard(subspace(model()), mesh=world))
    refused(first, lambda: sharded(subspace(model()).model, world))
    head = subspace(model(), space=intrinsic.Head())
    fully_shard(head.model.second, mesh=world)  # a part that holds nothing of the space
    refused(first, lambda: head(batches(1)[0][0]))
    part = model()
    fully_shard(part.second, mesh=world)
    refused("is not sharded, others of the model are: call fully_shard.model. on all of it", lambda: subspace(part))
    fully_shard(part, mesh=mesh(1, 1))
    refused("need one mesh for the whole model, got 2", lambda: subspace(part))
    columns = lambda p: Shard(1) if p.ndim > 1 else None  # noqa: E731
    refused("cut by rows, Shard.0.", lambda: subspace(sharded(model(), world, shard_placement_fn=columns)))
    spread = model()
    spread.gain = nn.Parameter(distribute_tensor(spread.gain.detach(), world, [Replicate()]))
    refused("DTensors that fully_shard did not make", lambda: subspace(spread))
    net = sharded(model(), world)
    refused("head.weight is sharded, .* head=project or head=freeze", lambda: subspace(net, head="train"))
    refused("is sharded, .* FSDP trains it alone", lambda: intrinsic.Subspace(net))
    refused("Prefix rewrites its modules", lambda: subspace(net, space=intrinsic.Prefix(2, mlp=4)))
    refused("need intrinsic.Subspace itself", lambda: Kind(net))
    refused("need 0 < dim <= full_dim", lambda: subspace(net, dim=10**6))
    over = subspace(net)
    refused("the model is in another Subspace", lambda: subspace(net))
    refused("no process has all weights", over.merge)
    refused("no other weights than its own", lambda: over.at({}).__enter__())
    refused("stays where it is, in its dtype", lambda: over.to(torch.float32))
    over.to("cpu")
    x, y = batches(1, dtype=torch.float64)[0]
    loss = F.cross_entropy(over(x), y)
    over.z.data += 1
    over(x)
    with pytest.raises(RuntimeError, match="have been overwritten by a later step"):
        loss.backward()
    over.model.reset_iter_state()
    over(x)
    with torch.no_grad():
        over.model.second.weight.mul_(2)
    refused("second.weight of the sharded model was written to", lambda: over(x))
