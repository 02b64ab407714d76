"""The memory that a backward pass takes, in a process of its own."""

import re
from pathlib import Path

import torch
from torch import nn

import intrinsic


def peak(stream):
    """The peak of memory of a backward pass through many equal layers, above what was there before; in weights."""
    torch.set_num_threads(1)
    net, warm = _net(20, stream), _net(2, stream)
    x = torch.ones(4, 500)
    warm(x).square().mean().backward()  # loads what layers of this size take: kernels, libraries
    with torch.no_grad():
        net.z.add_(1)
    loss = net(x).square().mean()  # theta_0 and theta are there now
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far, of the drawing of P, is forgotten
    before = kilobytes("VmRSS")
    loss.backward()
    return 1024 * (kilobytes("VmHWM") - before) / (4 * net.full_dim)


def _net(layers, stream):
    model = nn.Sequential(*[nn.Linear(500, 500) for _ in range(layers)])
    return intrinsic.Subspace(model, projection=intrinsic.OneHot, dim=100, stream=stream)


def kilobytes(name):
    (value,) = re.findall(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(value)
