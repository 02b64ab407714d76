"""Other people's loops around a subspace: each trains to the coordinates that differentiable steps train to."""

import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

import intrinsic
from tests.support.trainer import trained_by_trainer

DIM = 20


class Net(nn.Module):
    """BatchNorm and its statistics, a constant buffer, and a part that may be checkpointed."""

    def __init__(self, checkpointed=False):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.second = nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Linear(16, 16)
        self.head, self.checkpointed = nn.Linear(16, 3), checkpointed
        self.register_buffer("constant", torch.ones(100), persistent=False)

    def forward(self, x):
        hidden = self.norm(self.first(x)).tanh()
        part = lambda hidden: self.second(hidden).tanh()  # noqa: E731
        return self.head(checkpoint(part, hidden, use_reentrant=False) if self.checkpointed else part(hidden))


class Functional(nn.Module):
    """The same subspace by differentiable steps on new tensors; no buffer is written in place."""

    def __init__(self, net):
        super().__init__()
        self.net, self.z = [net], nn.Parameter(net.z.detach().clone())
        self.origin = {name: p.detach().clone() for name, p in net.model.named_parameters()}

    def forward(self, *args, **kwargs):
        (net,) = self.net
        offsets = net.projection(self.z).split([p.numel() for p in self.origin.values()])
        weights = {n: p + o.view_as(p) for (n, p), o in zip(self.origin.items(), offsets, strict=True)}
        return functional_call(net.model, weights, args, kwargs)


def subspace(model=None, seed=0, **options):
    options = {"projection": intrinsic.Fastfood, "dim": DIM} | options
    return intrinsic.Subspace(Net() if model is None else model, seed=seed, **options)


def batches(count=8, size=8, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(size, 6, generator=generator).to(dtype), torch.randint(3, (size,), generator=generator))
        for _ in range(count)
    ]


def accumulated(net, *, every=2, clip=None, dtype=torch.float64, autocast=False):
    """A loop with gradient accumulation, clipping and autocast, as people write them."""
    net.to(dtype)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    for step, (x, y) in enumerate(batches(dtype=dtype), 1):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = F.cross_entropy(net(x), y) / every
        loss.backward()
        if step % every == 0:
            if clip is not None:
                nn.utils.clip_grad_norm_(net.parameters(), clip)
            optimizer.step()
            optimizer.zero_grad()
    return net.z.detach()


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("clip", [None, 0.01])
def test_accumulation_clipping_and_activation_checkpointing(clip, checkpointed):
    found = accumulated(subspace(Net(checkpointed)), clip=clip)
    expected = accumulated(Functional(subspace().double()), clip=clip)
    assert found.abs().min() > 0
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("checkpointed", [False, True])
def test_autocast(checkpointed):
    found = accumulated(subspace(Net(checkpointed)), dtype=torch.float32, autocast=True, clip=1.0)
    expected = accumulated(Functional(subspace()), dtype=torch.float32, autocast=True, clip=1.0)
    # the same bfloat16 products, of float32 weights that differ in their last bit; Adam's steps are of size 0.05
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)


def bert():
    from transformers import BertConfig, BertForSequenceClassification

    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    torch.manual_seed(0)
    config = BertConfig(**size, vocab_size=30, num_labels=3, hidden_dropout_prob=0, attention_probs_dropout_prob=0)
    return BertForSequenceClassification(config)


TRAINERS = {"plain": {}, "autocast": {"bf16": True}}


@pytest.mark.slow
@pytest.mark.parametrize("case", TRAINERS)
def test_trainer(case, tmp_path):
    net, other = subspace(bert()), Functional(subspace(bert()))
    trainer = trained_by_trainer(net, tmp_path, **TRAINERS[case])
    trained_by_trainer(other, tmp_path, **TRAINERS[case])
    # Adam's steps of 0.05 magnify differences of rounding: of float32, or of bfloat16 products
    torch.testing.assert_close(net.z, other.z, atol=5e-3 if case == "autocast" else 1e-4, rtol=0)
    assert net.z.abs().min() > 0
    metrics = trainer.evaluate()
    with torch.no_grad():
        loss = net.eval()(**next(iter(trainer.get_eval_dataloader()))).loss
    assert 0 < metrics["eval_loss"] < 3
    assert loss.isfinite()


def test_trainer_with_activation_checkpointing(tmp_path):
    net, other = subspace(bert()), subspace(bert())
    trained_by_trainer(net, tmp_path, activation_checkpointing=True)
    assert any(getattr(module, "gradient_checkpointing", False) for module in net.model.modules())
    trained_by_trainer(other, tmp_path)
    torch.testing.assert_close(net.z, other.z, atol=1e-4, rtol=0)  # as above


def test_trainer_goes_on_from_its_own_checkpoint(tmp_path):
    whole, half, rest = (subspace(bert()) for _ in range(3))
    schedule = {"lr_scheduler_type": "constant", "save_strategy": "steps", "save_steps": 2}
    trained_by_trainer(whole, tmp_path / "whole", **schedule)
    trained_by_trainer(half, tmp_path / "half", max_steps=2, **schedule)
    from transformers import Trainer

    class Resumed(Trainer):
        def train(self, *args, **kwargs):
            return super().train(resume_from_checkpoint=str(tmp_path / "half" / "checkpoint-2"))

    import transformers

    original, transformers.Trainer = transformers.Trainer, Resumed
    try:
        trained_by_trainer(rest, tmp_path / "half", **schedule)
    finally:
        transformers.Trainer = original
    torch.testing.assert_close(rest.z, whole.z, atol=1e-6, rtol=0)


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
