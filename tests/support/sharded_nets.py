"""Nets over models that FSDP2 shards, and what one process of two does with them."""

import re

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

import intrinsic
from tests.support.loop_net import DIM, Net, batches

LORA, STEPS = intrinsic.LoRA(2), 20
GLOBAL = {
    name.__name__: {"projection": name, "dim": DIM}
    for name in (intrinsic.OneHot, intrinsic.Sparse, intrinsic.Fastfood, intrinsic.Dense)
}
FEW = {  # and few steps
    "kronecker": {"projection": intrinsic.Kronecker, "dim": DIM},
    "scales": {"projection": intrinsic.OneHot, "dim": DIM, "scales": "layer"},
    "tensor": {"projection": intrinsic.OneHot, "dim": DIM, "granularity": "tensor"},
    "unilora": {"space": LORA, "projection": intrinsic.OneHot, "dim": DIM},
    "copies": {"space": intrinsic.Union([LORA, intrinsic.BitFit()]), "projection": intrinsic.OneHot, "dim": DIM},
}
CASES = GLOBAL | {"lora": {"space": LORA}} | FEW
STORED = ("OneHot", "lora", "copies")
COLLECTIVE = re.compile("all_reduce|all_to_all|all_gather|reduce|broadcast|gather|scatter|send|recv|isend|irecv")
CALLS = [name for name in dir(dist) if COLLECTIVE.match(name) and callable(getattr(dist, name))]


class Uneven(Net):
    """Parameters of 16, of 3 and of one row: two processes have unequal parts, and one has none."""

    def __init__(self, checkpointed=False):
        super().__init__(checkpointed)
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return super().forward(x) * self.gain


def model():
    net = Uneven().double()
    net.norm.eval()  # the statistics of half a batch are others
    return net


def mesh(*shape):
    from torch.distributed.device_mesh import init_device_mesh

    return init_device_mesh("cpu", shape, mesh_dim_names=("copies", "shards")[-len(shape) :])


def sharded(net, mesh, parts=("second", ""), **options):
    from torch.distributed.fsdp import fully_shard

    for part in map(net.get_submodule, parts):
        fully_shard(part, mesh=mesh, **options)
    return net


def train(net, part=slice(None), steps=STEPS):
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    for x, y in batches(steps, dtype=torch.float64):
        F.cross_entropy(net(x[part]), y[part]).backward()
        optimizer.step()
        optimizer.zero_grad()


def outputs(net):
    with torch.no_grad():
        return net.eval()(batches(dtype=torch.float64)[0][0])


def results_of(rank, folder):
    """Of one process of two, which sees half of each batch: trains every case and counts the numbers of each call."""
    part, sent = slice(rank * 4, rank * 4 + 4), dict.fromkeys(CALLS, 0)
    for name, call in [(name, getattr(dist, name)) for name in CALLS]:

        def count(*args, name=name, call=call, **more):
            sent[name] += max((x.numel() for x in (*args, *more.values()) if isinstance(x, torch.Tensor)), default=1)
            return call(*args, **more)

        setattr(dist, name, count)
    meshes = {False: mesh(2), True: mesh(2, 1)}
    results = {}
    train(sharded(model(), meshes[False]), part)
    results["full"] = dict(sent)
    for case, options in CASES.items():
        net = intrinsic.Subspace(sharded(model(), meshes[case == "copies"]), seed=3, **options)
        sent.update(dict.fromkeys(CALLS, 0))
        train(net, part, 4 if case in FEW else STEPS)
        results[case] = {"sent": dict(sent), "trained": {k: p.detach() for k, p in net.named_parameters()}}
        if case not in STORED:
            continue
        intrinsic.save(net, f"{folder}/{case}.two.safetensors")
        net = intrinsic.load(sharded(model(), meshes[False]), f"{folder}/{case}.one.safetensors")
        results[case]["loaded"] = outputs(net)
    return results


def trained_alone(folder):
    """The cases over one whole model, and their files in the folder."""
    nets = {}
    for case, options in CASES.items():
        nets[case] = intrinsic.Subspace(model(), seed=3, **options)
        train(nets[case], steps=4 if case in FEW else STEPS)
        intrinsic.save(nets[case], folder / f"{case}.one.safetensors")
    return nets
