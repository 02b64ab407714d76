"""The initialisation of the plain networks."""

from torch import nn


def kaiming_normal(model: nn.Module) -> None:
    """Draw every weight N(0, 2 / fan in) from the global random state, and set every bias to zero.

    Source: He et al. 2015, arXiv:1502.01852; the start that Li et al. 2018, arXiv:1804.08838, use.
    """
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")
