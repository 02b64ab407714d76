"""The places and values of Sparse, drawn by torch."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from intrinsic import rng, rng_torch
from intrinsic.projections.device_draws.certain import uncertain

if TYPE_CHECKING:
    from intrinsic.projections.sparse import Sparse


def draw(projection: "Sparse", device: torch.device) -> dict[str, Tensor]:
    """The tensors of P: both CSR forms."""
    dim, full_dim = projection.dim, projection.full_dim
    places = _places(projection.seed, dim, full_dim, device)
    column, row = places // full_dim, places % full_dim
    counts = torch.bincount(column, minlength=dim)
    signs = rng_torch.signs(rng.fan_out(projection.seed, "signs"), len(places), device=device)
    values = (signs / counts.double().sqrt()[column]).float()
    dtype = torch.int32 if max(len(places), full_dim) < 2**31 else torch.int64
    row, order = torch.sort(row, stable=True)
    return {
        "rows_start": _starts(torch.bincount(row, minlength=full_dim)).to(dtype),
        "rows_index": column[order].to(dtype),
        "rows_value": values[order],
        "columns_start": _starts(counts).to(dtype),
        "columns_index": (places % full_dim).to(dtype),
        "columns_value": values,
    }


def _starts(counts: Tensor) -> Tensor:
    return torch.nn.functional.pad(counts.cumsum(0), (1, 0))


def _places(seed: int, dim: int, full_dim: int, device: torch.device) -> Tensor:
    """`_places` of sparse.py: where P is not zero, sorted, as column * full_dim + row."""
    total, density = dim * full_dim, full_dim**-0.5
    block = int(total * density + 8 * (total * density) ** 0.5) + 8
    parts, last, start = [], -1, 0
    while last < total:
        parts.append(last + torch.cumsum(_gaps(seed, block, start, density, device) + 1, 0))
        last, start = int(parts[-1][-1]), start + block
    places = torch.cat(parts)
    places = places[places < total]
    empty = (torch.bincount(places // full_dim, minlength=dim) == 0).nonzero().view(-1)
    keys = rng.keys(rng.fan_out(seed, "empty columns"), len(empty)) % full_dim
    extra = empty * full_dim + torch.from_numpy(keys.astype(np.int64)).to(device)
    return torch.cat([places, extra]).sort().values


def _gaps(seed: int, count: int, start: int, density: float, device: torch.device) -> Tensor:
    """Geometric gaps; those whose floor another last bit would change, by numpy."""
    stream = rng.fan_out(seed, "gaps")
    with np.errstate(divide="ignore"):  # full_dim = 1: density 1, log 0, every gap 0
        scale = np.log1p(-density)
    gaps = torch.log(rng_torch.uniforms(stream, count, device=device, start=start)) / float(scale)
    found = gaps.floor().long()
    for i in uncertain(gaps, int).nonzero().view(-1).tolist():
        found[i] = int(np.floor(np.log(rng.uniforms(stream, 1, start=start + i)) / scale)[0])
    return found
