"""The process of `peers.Peer`: wraps the network in the peer's class and times its steps; knows nothing of ours."""

import importlib
import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

BATCH = 128


def main() -> None:
    """Read a number of steps from standard input, take them, write their mean seconds; until the input ends."""
    wrapper, dim = sys.argv[1], int(sys.argv[2])
    module = importlib.import_module("intrinsic." + wrapper.removesuffix("Wrap").lower())
    layers = (nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10))
    net = getattr(module, wrapper)(nn.Sequential(*layers), dim, device="cpu")
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-6)
    inputs, targets = torch.rand(BATCH, 1, 28, 28), torch.randint(10, (BATCH,))
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            loss = F.cross_entropy(net(inputs), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        print(json.dumps((time.perf_counter() - start) / int(line)), flush=True)


if __name__ == "__main__":
    main()
