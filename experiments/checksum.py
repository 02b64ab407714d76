"""Whether a file holds the numbers that were written."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> int:
    """CRC-32 of `metadata` as JSON and of the names and bytes of `tensors`: it notices damage, not intent."""
    total = zlib.crc32(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        total = zlib.crc32(name.encode(), total)
        numbers = tensors[name].detach().cpu().contiguous().reshape(-1)
        total = zlib.crc32(numbers.view(torch.uint8).numpy().data, total)
    return total
