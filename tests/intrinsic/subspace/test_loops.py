"""Other people's loops around a subspace: each trains to the coordinates that differentiable steps train to."""

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from tests.support.loop_net import Net, batches, subspace
from tests.support.trainer import trained_by_trainer

pytestmark = pytest.mark.slow


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
