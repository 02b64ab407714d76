"""The error that a network of so many bits is sure to have at most."""

import math


def occam_bound(error: float, bits: float, examples: int, *, delta: float = 0.05) -> float:
    """The largest q with kl(error || q) <= (bits ln 2 + ln(1 / delta)) / examples, in [error, 1].

    kl(p || q) = p ln(p / q) + (1 - p) ln((1 - p) / (1 - q)). With probability 1 - delta over the draw of the training
    examples, the true error of *every* network that has a message in a prefix code is below its bound: a network with
    true error q has an error <= p on n examples with probability <= exp(-n kl(p || q)) (Chernoff), and delta is shared
    out by 2^-bits, whose sum is at most 1 (Kraft). So whatever chose the network, a learning rate or d or the levels,
    costs nothing more. It is the PAC-Bayes bound of a prior 2^-bits and a posterior of one network: KL = bits ln 2.

    Lotfi et al. 2022 take Catoni's form of it, with a parameter that is chosen from a grid at a price; kl has what the
    best parameter gives, for one network without a price.

    Args:
        error: on the training examples, in [0, 1].
        bits: of the message.
        examples: of training, n.
        delta: the probability that the draw of the examples is one for which a bound fails.

    Source: Langford & Seeger 2001; Catoni 2007; Lotfi et al. 2022, arXiv:2211.13609, section 3.
    """
    from scipy.optimize import brentq  # slow to import

    budget = (bits * math.log(2) + math.log(1 / delta)) / examples
    if _kl(error, 1 - 1e-12) <= budget:
        return 1.0
    return float(brentq(lambda q: _kl(error, q) - budget, max(error, 1e-12), 1 - 1e-12, xtol=1e-12))


def _kl(p: float, q: float) -> float:
    left = p * math.log(p / q) if p > 0 else 0.0
    return left + ((1 - p) * math.log((1 - p) / (1 - q)) if p < 1 else 0.0)
