"""Two processes that train one net: DistributedDataParallel and Accelerate."""

import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

import intrinsic
from tests.support.loop_net import Net, batches, subspace

LORA = {"space": intrinsic.LoRA(2), "projection": intrinsic.Identity, "dim": None}


PARALLEL = {
    "subspace": {},
    "checkpointed": {"checkpointed": True},
    "head beside": {"head": "train"},
    "lora": LORA,
    "scales": {"scales": "layer"},
    "stream": {"stream": True},
}


def process(rank, folder):
    """One process of two, which sees half of each batch: trains every case and notes what was sent."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    sent = {}
    broadcast = dist._broadcast_coalesced

    def count(group, tensors, *args):
        sent["broadcast"] += sum(tensor.numel() for tensor in tensors)
        return broadcast(group, tensors, *args)

    def reduce(_, bucket):
        sent["gradients"] += bucket.buffer().numel()
        return dist.all_reduce(bucket.buffer() / 2, async_op=True).get_future().then(lambda done: done.value()[0])

    dist._broadcast_coalesced = count
    results = {}
    for case in PARALLEL:
        sent.update(gradients=0, broadcast=0)
        net = made(case)
        parallel = DistributedDataParallel(net)
        parallel.register_comm_hook(None, reduce)
        at_start = sent["broadcast"]
        steps(parallel, slice(rank * 4, rank * 4 + 4))
        trained = {name: parameter.detach() for name, parameter in net.named_parameters()}
        results[case] = {"trained": trained, "at_start": at_start, **sent}
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def made(case):
    options = dict(PARALLEL[case])
    net = subspace(Net(options.pop("checkpointed", False)), **options).double()
    net.model.norm.eval()  # the statistics of half a batch are others
    return net


def steps(net, part):
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    for x, y in batches(dtype=torch.float64):
        F.cross_entropy(net(x[part]), y[part]).backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parallel")
    multiprocessing.spawn(process, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("case", PARALLEL)
def test_two_processes_train_as_one(case, processes):
    net, (first, second) = made(case), (results[case] for results in processes)
    steps(net, slice(None))
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(first["trained"][name], second["trained"][name], atol=0, rtol=0)
        # float64, and the two halves of each gradient add up in another order
        torch.testing.assert_close(first["trained"][name], parameter.detach(), atol=1e-9, rtol=0)
    trained, count = net.count()["trained"], len(batches())
    statistics = 2 * 16 + 1  # of BatchNorm: mean, variance, count of batches
    assert first["gradients"] == count * trained
    assert first["at_start"] == trained + statistics  # neither the base nor P
    assert first["broadcast"] == first["at_start"] + count * statistics
