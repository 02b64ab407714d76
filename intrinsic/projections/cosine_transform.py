"""The orthonormal discrete cosine transform of matrices."""

import math

import scipy.fft
import torch
from torch import Tensor
from torch.nn.functional import pad

from intrinsic.projections.kernels.select import is_tracing


def cosine_transform(x: Tensor, *, inverse: bool = False) -> Tensor:
    """Over the last two axes: y_kl = sum_ij c_ki x_ij c_lj, c_ki = sqrt((2 - [k = 0]) / m) cos(pi k (2 i + 1) / (2 m)).

    That is DCT-II, whose matrix is orthogonal: its inverse is its transpose, DCT-III. (..., m, n) -> (..., m, n), in
    the dtype of x, float32 or float64. By scipy for float32 on the CPU, where nobody traces it; else by torch's FFT, so
    that float64, which is for exactness, has one rounding whoever looks.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32 or is_tracing(x):
        along = _inverse if inverse else _forward
        return along(along(x).transpose(-2, -1)).transpose(-2, -1)
    transform = scipy.fft.idctn if inverse else scipy.fft.dctn
    return torch.from_numpy(transform(x.numpy(), axes=(-2, -1), norm="ortho", workers=torch.get_num_threads()))


def _forward(x: Tensor) -> Tensor:
    """DCT-II along the last axis from an FFT of the even places, then the odd ones backwards (Makhoul 1980)."""
    count = x.shape[-1]
    spectrum = torch.fft.rfft(torch.cat([x[..., ::2], x[..., 1::2].flip(-1)], -1)) * _turn(count, x).conj()
    upper = spectrum.imag[..., 1 : (count + 1) // 2].flip(-1)
    return torch.cat([spectrum.real, -upper], -1) * _scale(count, x)


def _inverse(y: Tensor) -> Tensor:
    count = y.shape[-1]
    scaled, half = y / _scale(count, y), count // 2 + 1
    mirrored = torch.cat([torch.zeros_like(y[..., :1]), scaled[..., 1:].flip(-1)], -1)[..., :half]
    places = torch.fft.irfft(torch.complex(scaled[..., :half], -mirrored) * _turn(count, y), n=count)
    even = (count + 1) // 2
    odd = pad(places[..., even:].flip(-1), (0, count % 2))
    return torch.stack([places[..., :even], odd], -1).flatten(-2)[..., :count]


def _turn(count: int, like: Tensor) -> Tensor:
    """exp(i pi k / (2 count)), k = 0 ... count / 2."""
    angles = torch.arange(count // 2 + 1, dtype=like.dtype, device=like.device) * (math.pi / (2 * count))
    return torch.complex(angles.cos(), angles.sin())


def _scale(count: int, like: Tensor) -> Tensor:
    """sqrt((2 - [k = 0]) / count)."""
    first = torch.arange(count, device=like.device) == 0
    return torch.where(first, 1.0, 2.0).to(like.dtype).div(count).sqrt()
