"""One training step of Adam on a fixed batch, for our nets and for other people's."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import intrinsic

BATCH, SHAPE, CLASSES = 128, (1, 28, 28), 10
# so small that the net stays what it is at the start: one that has learned its only batch has denormal gradients, which
# are slow, and is no training
LR = 1e-6


def make_data(device: torch.device) -> tuple[Tensor, Tensor]:
    """A batch of images and classes."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(BATCH, *SHAPE, generator=generator)
    return inputs.to(device), torch.randint(CLASSES, (BATCH,), generator=generator).to(device)


def make_step(net: nn.Module, *, fused: bool = False, lean: bool = False) -> Callable[[], object]:
    """What trains `net` by one step: forward, cross-entropy, backward, Adam; by our way to torch's kernel if `lean`."""
    device = next(net.parameters()).device
    inputs, targets = make_data(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=LR, fused=fused)
    forget: Callable[[], object] = optimizer.zero_grad
    update: Callable[[], object] = optimizer.step
    if lean:
        forget, update = partial(intrinsic.zero_grad, optimizer), partial(intrinsic.optimizer_step, optimizer)

    def step() -> None:
        loss = F.cross_entropy(net(inputs), targets)
        forget()
        loss.backward()
        update()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step
