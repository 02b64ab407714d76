"""One training step of Adam on a fixed batch, for our nets and for other people's."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

BATCH, SHAPE, CLASSES = 128, (1, 28, 28), 10


def make_step(net: nn.Module, *, fused: bool = False) -> Callable[[], object]:
    """What trains `net` by one step: forward, cross-entropy, backward, Adam."""
    device = next(net.parameters()).device
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(BATCH, *SHAPE, generator=generator).to(device)
    targets = torch.randint(CLASSES, (BATCH,), generator=generator).to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=fused)

    def step() -> None:
        loss = F.cross_entropy(net(inputs), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step
