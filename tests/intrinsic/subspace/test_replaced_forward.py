"""What somebody puts in the place of a net's forward computes, part by part, at theta_0 + P z."""

import copy
from types import MethodType

import pytest
import torch
from torch.nn import functional as F

import intrinsic
from tests.support.tiny_pairs import make_pairs_folder

transformers = pytest.importorskip("transformers")

SPACES = {
    "subspace": {"projection": intrinsic.Fastfood, "dim": 40},
    "streamed": {"projection": intrinsic.Fastfood, "dim": 40, "stream": True},
    "said": {"projection": intrinsic.Fastfood, "dim": 40, "scales": "layer"},
    "full": {},
    "lora": {"space": intrinsic.LoRA(rank=2, targets=["q_proj", "v_proj"])},
}
INPUTS = {"input_ids": torch.arange(24).view(3, 8) % 22, "attention_mask": torch.ones(3, 8, dtype=torch.int64)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_pairs_folder(tmp_path_factory.mktemp("llama"), initializer_range=0.3)


def net_of(folder, space):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).double()
    net = intrinsic.Subspace(model, **SPACES[space], seed=0)
    with torch.no_grad():
        for lane, parameter in enumerate(net.parameters()):
            parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(lane))
    return net


def by_parts(net):
    """As TRL does: the layers by themselves, the output layer's weight read, the old forward beside."""
    before = net.forward

    def forward(self, *args, parts=False, **kwargs):
        if not parts:
            return before(*args, **kwargs)
        hidden = self.base_model(*args, **kwargs).last_hidden_state
        return hidden @ self.get_output_embeddings().weight.T

    net.forward = MethodType(forward, net)
    return net


def loss_of(logits):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), INPUTS["input_ids"][:, 1:].flatten())


def grads(net, loss):
    net.zero_grad()
    loss.backward()
    return [parameter.grad.clone() for parameter in net.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("space", SPACES)
def test_parts_have_the_loss_and_the_gradients_of_the_whole(space, checkpointed, folder):
    plain, parted = net_of(folder, space), by_parts(net_of(folder, space))
    if checkpointed:
        parted.activation_checkpointing_enable()
        parted.train()
        assert parted.is_activation_checkpointing
    expected = loss_of(plain(**INPUTS).logits)
    with torch.no_grad():  # theta_0 says something else
        at_start = loss_of(transformers.AutoModelForCausalLM.from_pretrained(folder).double()(**INPUTS).logits)
    assert (expected - at_start).abs() > 1e-3
    for _ in range(2):
        loss = loss_of(parted(**INPUTS, parts=True))
        torch.testing.assert_close(loss, expected, atol=1e-10, rtol=0)
        for one, other in zip(grads(parted, loss), grads(plain, loss_of(plain(**INPUTS).logits)), strict=True):
            torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-8)
    loss = loss_of(parted(**INPUTS).logits)  # the old forward, within the new one
    for one, other in zip(grads(parted, loss), grads(plain, loss_of(plain(**INPUTS).logits)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("space", SPACES)
def test_a_copy_has_parts_of_its_own(space, folder):
    net = by_parts(net_of(folder, space))
    other = copy.deepcopy(net)
    before = net(**INPUTS, parts=True)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.1
    assert torch.equal(net(**INPUTS, parts=True), before)
    assert not torch.equal(other(**INPUTS, parts=True), before)


def test_parts_are_not_there_outside_of_it(folder):
    """They would compute at theta_0, without a word."""
    net = net_of(folder, "subspace")
    assert not hasattr(net, "base_model")
    by_parts(net)
    assert not hasattr(net, "base_model")
    assert not hasattr(net, "get_output_embeddings")


@pytest.mark.parametrize("space", SPACES)
def test_generate_is_that_of_the_merged_model(space, folder):
    net = net_of(folder, space).eval()
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": 3}
    found = net.generate(**INPUTS, **options)
    assert torch.equal(found, net.merge().eval().generate(**INPUTS, **options))
    assert not found.requires_grad
    start = transformers.AutoModelForCausalLM.from_pretrained(folder).double().eval().generate(**INPUTS, **options)
    assert not torch.equal(found, start)


def test_a_model_that_generates_nothing():
    with pytest.raises(intrinsic.UserError, match="Linear generates nothing: need a causal language model"):
        intrinsic.Subspace(torch.nn.Linear(2, 2)).generate()
