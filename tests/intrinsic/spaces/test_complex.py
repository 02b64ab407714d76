"""Complex parameters, as of layers that multiply Fourier coefficients: all of them move, or one line says why not."""

import pytest
import torch
from torch import nn

import intrinsic


class Spectral(nn.Module):
    """A layer that mixes Fourier coefficients, between two real ones."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lift, self.head = nn.Linear(8, 8).double(), nn.Linear(8, 3).double()
        self.mode = nn.Parameter(torch.randn(5, 5, dtype=torch.complex128))
        self.turn = nn.Linear(5, 5, dtype=torch.complex128)

    def forward(self, x):
        coefficients = self.turn(torch.fft.rfft(self.lift(x)) @ self.mode)
        return self.head(torch.fft.irfft(coefficients, n=8))


@pytest.mark.parametrize(
    ("space", "name"),
    [
        (intrinsic.Full(), "mode"),
        (intrinsic.Full(embeddings=False), "mode"),
        (intrinsic.Full(select=r"head.*|turn\.weight"), "turn.weight"),
        (intrinsic.Full(targets=["lift", "turn"]), "turn.weight"),
        (intrinsic.Union([intrinsic.BitFit(), intrinsic.Full()]), "mode"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"projection": intrinsic.OneHot, "dim": 3}])
def test_all_weights_leave_none_out_without_a_word(space, name, options):
    model = Spectral()
    with pytest.raises(intrinsic.UserError, match=rf"needs real numbers, {name} is complex: leave it out by select"):
        intrinsic.Subspace(model, space=space, **options)
    assert all(parameter.requires_grad for parameter in model.parameters())
    net = intrinsic.Subspace(model, space=intrinsic.Full(select="(lift|head).*"), **options)
    assert net.full_dim == 8 * 8 + 8 + 3 * 8 + 3


@pytest.mark.parametrize("options", [{}, {"projection": intrinsic.Dense, "dim": 6}])
def test_lora_beside_a_complex_weight_follows_the_formula(options):
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    net = intrinsic.Subspace(Spectral(), space=intrinsic.LoRA(1, alpha=2.0, targets=["turn"]), **options)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
    net(x).square().sum().backward()
    weights = net.weights()
    A, B = (weights[f"turn.lora_{name}"].detach() for name in "AB")
    plain = Spectral()
    plain.turn.weight.data += 2.0 * B @ A
    torch.testing.assert_close(net(x), plain(x))
    merged = net.merge()
    torch.testing.assert_close(merged(x), plain(x))
    assert all(parameter.requires_grad for parameter in merged.parameters())  # complex ones, too
    assert all(parameter.grad.abs().min() > 0 for parameter in net.parameters())
