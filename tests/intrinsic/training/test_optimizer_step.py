"""`optimizer_step` and `zero_grad` in place of torch's own: the same bits, and the same way where torch does more."""

from copy import deepcopy
from functools import partial

import pytest
import torch
from torch.optim import SGD, Adam, AdamW, RMSprop

import intrinsic

MAKERS = {
    "adam": partial(Adam, lr=0.1, fused=True),
    "adamw": partial(AdamW, lr=0.1, weight_decay=0.1, amsgrad=True, fused=True),
    "ascent": partial(Adam, lr=0.1, weight_decay=0.1, maximize=True, fused=True),
    "sgd": partial(SGD, lr=0.1, momentum=0.9, nesterov=True, fused=True),
    "plain sgd": partial(SGD, lr=0.1, fused=True),
    "not fused": partial(Adam, lr=0.1),
    "another": partial(RMSprop, lr=0.1),
}


def walk(make, step, forget):
    """Eleven steps through what a loop does to an optimiser; returns its numbers and what it keeps."""
    generator = torch.Generator().manual_seed(0)
    first, second, third = (torch.ones(size, requires_grad=True) for size in (7, 5, 3))
    optimizer = make([{"params": [first, second]}])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12)
    seen = []
    for number in range(11):
        for parameter in (first, second, third):
            parameter.grad = torch.randn(len(parameter), generator=generator)
        if number == 2:  # as after a checkpoint
            optimizer.load_state_dict(deepcopy(optimizer.state_dict()))
        if number == 4:
            optimizer.add_param_group({"params": [third], "lr": 0.01})
            schedule.base_lrs.append(0.01)
        if number == 6:
            second.grad = None
        if number == 7:  # moments that somebody replaces
            for state in optimizer.state.values():
                for name, value in state.items():
                    state[name] = value.clone() if torch.is_tensor(value) else value
        if number == 8:
            hook = optimizer.register_step_post_hook(lambda *_: seen.append(1))
        if number == 10:
            hook.remove()
            optimizer.state.clear()
        step(optimizer)
        schedule.step()
        forget(optimizer)
        assert all(parameter.grad is None for group in optimizer.param_groups for parameter in group["params"])
    assert len(seen) == 2
    return [first, second, third], optimizer.state_dict()


@pytest.mark.parametrize("case", MAKERS)
def test_bits_of_torch_whatever_becomes_of_the_optimiser(case):
    make = MAKERS[case]
    ours = walk(make, intrinsic.optimizer_step, intrinsic.zero_grad)
    torchs = walk(make, lambda optimizer: optimizer.step(), lambda optimizer: optimizer.zero_grad())
    torch.testing.assert_close(ours, torchs, rtol=0, atol=0)


@pytest.mark.parametrize("case", ["adam", "adamw", "ascent", "sgd", "plain sgd"])
def test_the_kernel_alone_is_called(case, monkeypatch):
    z = torch.zeros(3, requires_grad=True)
    optimizer = MAKERS[case]([z])
    if case != "plain sgd":  # which keeps nothing, and so needs no first step of torch's
        z.grad = torch.ones(3)
        intrinsic.optimizer_step(optimizer)
    monkeypatch.setattr(type(optimizer), "step", lambda self: pytest.fail("torch's own step"))
    before = z.detach().clone()
    z.grad = torch.ones(3)
    intrinsic.optimizer_step(optimizer)
    assert not z.equal(before)


def test_a_step_is_left_to_the_optimiser_where_it_does_more():
    """A closure of somebody's own in its place, a rate that is a tensor."""
    z = torch.zeros(3, requires_grad=True)
    for options in ({"lr": torch.tensor(0.1)}, {"lr": 0.1, "fused": False}, {"lr": 0.1, "fused": True}):
        optimizer, taken = torch.optim.Adam([z], **options), []
        z.grad = torch.ones(3)
        intrinsic.optimizer_step(optimizer)  # the first: there is no state yet
        assert optimizer.state[z]["step"] == 1
        optimizer.step = lambda taken=taken: taken.append(1)
        intrinsic.optimizer_step(optimizer)
        assert taken == [1]
