"""Two processes that train one net: DistributedDataParallel, and FSDP2."""

import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

import intrinsic
from tests.support import sharded_nets
from tests.support.loop_net import DIM, Net, batches, subspace

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
    dist._broadcast_coalesced = broadcast
    torch.save({"parallel": results, "sharded": sharded_nets.results_of(rank, folder)}, f"{folder}/{rank}.pt")
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
    """The nets over one whole sharded model, their folder, and what each of two processes found."""
    folder = tmp_path_factory.mktemp("parallel")
    nets = sharded_nets.trained_alone(folder)
    multiprocessing.spawn(process, (str(folder),), nprocs=2)
    return nets, folder, [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("case", PARALLEL)
def test_two_processes_train_as_one(case, processes):
    net, (first, second) = made(case), (results["parallel"][case] for results in processes[2])
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


@pytest.mark.slow
@pytest.mark.parametrize("case", sharded_nets.CASES)
def test_two_processes_share_a_model_as_one(case, processes):
    nets, _, (first, second) = processes[0], processes[1], [each["sharded"] for each in processes[2]]
    assert dict(nets[case].named_parameters()).keys() == first[case]["trained"].keys()
    for name, parameter in nets[case].named_parameters():
        torch.testing.assert_close(first[case]["trained"][name], second[case]["trained"][name], atol=0, rtol=0)
        # float64, entries of P of float32, and sums in another order
        torch.testing.assert_close(first[case]["trained"][name], parameter.detach(), atol=1e-9, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("case", sharded_nets.STORED)
def test_a_file_of_two_processes_opens_in_one_and_the_reverse(case, processes):
    nets, folder, (first, second) = processes[0], processes[1], [each["sharded"] for each in processes[2]]
    expected = sharded_nets.outputs(nets[case])
    there = sharded_nets.outputs(intrinsic.load(sharded_nets.model(), folder / f"{case}.two.safetensors"))
    for found in (there, first[case]["loaded"], second[case]["loaded"]):
        torch.testing.assert_close(found, expected, atol=1e-8, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("case", sharded_nets.GLOBAL)
def test_a_step_sends_what_fsdp_sends_and_dim_numbers(case, processes):
    first, second = (each["sharded"] for each in processes[2])
    assert first["full"]["all_reduce"] == 0 < sharded_nets.STEPS * 300 < sum(first["full"].values())
    assert first[case]["sent"] == second[case]["sent"] == first["full"] | {"all_reduce": sharded_nets.STEPS * DIM}


@pytest.mark.slow
def test_a_step_of_lora_sends_gradients_of_its_factors_alone(processes):
    """And gathers weights, of which no gradient is sent."""
    nets, first = processes[0], processes[2][0]["sharded"]
    beyond = {name: count for name, count in first["lora"]["sent"].items() if count and "all_gather" not in name}
    assert beyond == {"all_reduce": sharded_nets.STEPS * nets["lora"].count()["trained"]}
