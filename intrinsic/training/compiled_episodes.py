"""Deep Q-learning of CartPole by a compiled kernel, where it can be."""

import os
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from intrinsic.data.cartpole import CartPole
from intrinsic.subspace import Subspace
from intrinsic.tasks.environment import Environment
from intrinsic.training.deep_q_learning import DeepQLearning
from intrinsic.training.plain_mlp import plain_mlp

MOST = 1 << 23  # numbers of P, which is held whole


class CompiledEpisodes:
    """Episodes as `q_learn` has them, up to rounding, in a tenth of the time: trained numbers in flat copies.

    Args:
        net: one that `suit`s.
        optimizer: over its parameters, with what it has been through.
        l2_weights: see `intrinsic.training.fit`.
    """

    def __init__(self, net: Subspace, optimizer: DeepQLearning, l2_weights: float) -> None:
        assert optimizer.experience is not None
        (group,) = optimizer.param_groups
        self._experience, self._trained = optimizer.experience, list(net.parameters())
        self._states = [optimizer.state[parameter] for parameter in self._trained]
        for state, parameter in zip(self._states, self._trained, strict=True):
            if not state:  # as Adam begins
                state.update(step=torch.zeros(()), exp_avg=torch.zeros_like(parameter))
                state.update(exp_avg_sq=torch.zeros_like(parameter))
        z, first, second = self._flat = [_flat(tensors) for tensors in self._tensors()]
        origin = _flat(list(net.model.parameters()))
        matrix = np.empty((0, 0), np.float32)
        if not net.identity:
            matrix = np.ascontiguousarray(net.projection.multiply(torch.eye(net.dim)).numpy().T)
        self._follower = np.empty(0, np.float32)
        if optimizer.target == "network":
            names = [name for name, _ in net.named_parameters()]
            held = self._experience.target or {name: p.detach() for name, p in net.named_parameters()}
            self._experience.target = {name: held[name].clone() for name in names}
            self._follower = _flat(list(self._experience.target.values()))
        self._net = (_at(origin, matrix, z), origin, matrix, z, first, second)
        own = _at(origin, matrix, self._follower) if len(self._follower) else self._follower
        self._target = own, self._follower
        layers = [*net.model.hidden, net.model.head]  # type: ignore[misc]
        self._sizes = np.array([layers[0].in_features, *(layer.out_features for layer in layers)])
        self._ends = np.array([0, *accumulate(parameter.numel() for parameter in self._trained)])
        self._rates = np.array([group["lr"], *group["betas"], group["eps"]])
        self._course = optimizer.course(l2_weights)

    @staticmethod
    def suit(net: Subspace, environment: Environment, optimizer: DeepQLearning) -> bool:
        """Whether it is CartPole, on the CPU in float32, with an MLP without dropout whose weights are all trained."""
        model = plain_mlp(net.model)
        if type(environment) is not CartPole or model is None or os.environ.get("INTRINSIC_KERNELS") == "torch":
            return False
        alike = {(p.dtype, p.device.type) for p in (*model.parameters(), *net.parameters())}
        names = [name for name, _ in model.named_parameters()]
        whole = net.coordinate_names == names and not net.layer_of
        own = net.trained_names == set(names) if net.identity else not net.trained_names
        plain = len(optimizer.param_groups) == 1 and not optimizer.param_groups[0]["weight_decay"]
        room = net.identity or net.dim * net.full_dim <= MOST
        return alike == {(torch.float32, "cpu")} and whole and own and plain and room and not model.dropout.p

    def run(self, state: np.ndarray, draws: Tensor) -> float:
        """One episode from a state; see `q_kernel.episode`. Returns its return."""
        from intrinsic.training.q_kernel import episode  # compiles

        experience = self._experience
        counts = np.array([experience.steps, experience.stored, experience.updates, int(self._states[0]["step"])])
        places = counts, experience.rows.numpy(), self._sizes, self._ends, self._rates, self._course
        steps = episode(state.copy(), draws.numpy(), *places, self._net, self._target)
        experience.steps, experience.stored, experience.updates = counts[:3].tolist()
        for each in self._states:
            each["step"].fill_(int(counts[3]))
        return float(steps)

    @torch.no_grad()
    def store(self) -> None:
        """Write the trained numbers and Adam's moments back."""
        targets = [*self._tensors(), list(self._experience.target.values())]
        for tensors, flat in zip(targets, [*self._flat, self._follower], strict=True):
            pieces = torch.from_numpy(flat).split([tensor.numel() for tensor in tensors])
            for tensor, piece in zip(tensors, pieces, strict=True):
                tensor.copy_(piece.view(tensor.shape))

    def _tensors(self) -> list[list[Tensor]]:
        moments = [[state[key] for state in self._states] for key in ("exp_avg", "exp_avg_sq")]
        return [list(self._trained), *moments]


def _flat(tensors: list[Tensor]) -> np.ndarray:
    return torch.cat([tensor.detach().flatten() for tensor in tensors]).numpy()


def _at(origin: np.ndarray, matrix: np.ndarray, z: np.ndarray) -> np.ndarray:
    return origin + matrix @ z if len(matrix) else z.copy()
