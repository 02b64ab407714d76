"""An episode of CartPole with deep Q-learning of linear layers, compiled: what `q_learn` does, up to rounding."""

from typing import Any

import numba
import numpy as np

from intrinsic.data.cartpole import CART, FORCE, GRAVITY, HALF_LENGTH, MOST_ANGLE, MOST_PLACE, POLE, SECONDS
from intrinsic.projections.kernels.cache import Cache


def _compiled(function: Any) -> Any:
    """Compile it; NaN stays NaN."""
    return numba.njit(nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})(function)


@_compiled
def _forward(theta: Any, sizes: Any, n: int, seen: Any) -> int:
    """Values of n observations, with which `seen`, a flat buffer, begins, the layers' outputs behind; their place."""
    at, start = 0, 0
    for k in range(len(sizes) - 1):
        wide, high = sizes[k], sizes[k + 1]
        weight = theta[at : at + wide * high].reshape(high, wide)
        bias = theta[at + wide * high : at + wide * high + high]
        at += (wide + 1) * high
        inputs = seen[start : start + n * wide].reshape(n, wide)
        start += n * wide
        outputs = seen[start : start + n * high].reshape(n, high)
        np.dot(inputs, weight.T, outputs)
        for i in range(n):
            for j in range(high):
                value = outputs[i, j] + bias[j]
                outputs[i, j] = 0 if k < len(sizes) - 2 and value < 0 else value
    return start


@_compiled
def _backward(theta: Any, sizes: Any, n: int, seen: Any, slopes: Any, grad: Any, l2: float) -> None:
    """The gradient of theta where `slopes`, laid out as `seen`, has that of the values; with 2 l2 times the kernels."""
    at, start = len(theta), 0
    for k in range(len(sizes) - 1):
        start += n * sizes[k]
    for k in range(len(sizes) - 2, -1, -1):
        wide, high = sizes[k], sizes[k + 1]
        at -= (wide + 1) * high
        g = slopes[start : start + n * high].reshape(n, high)
        start -= n * wide
        inputs = seen[start : start + n * wide].reshape(n, wide)
        weight = theta[at : at + wide * high].reshape(high, wide)
        kernel = grad[at : at + wide * high].reshape(high, wide)
        np.dot(g.T, inputs, kernel)
        if l2:
            for i in range(high):
                for j in range(wide):
                    kernel[i, j] += 2 * l2 * weight[i, j]
        for j in range(high):
            total = np.float32(0)
            for i in range(n):
                total += g[i, j]
            grad[at + wide * high + j] = total
        if k:
            before = slopes[start : start + n * wide].reshape(n, wide)
            np.dot(g, weight, before)
            for i in range(n):
                for j in range(wide):
                    if inputs[i, j] <= 0:
                        before[i, j] = 0


@_compiled
def _adam(z: Any, g: Any, first: Any, second: Any, step: int, rates: Any) -> None:
    """One step of Adam: rates are lr, beta_1, beta_2, eps."""
    lr, beta1, beta2, eps = rates[0], rates[1], rates[2], rates[3]
    size, root = lr / (1 - beta1**step), np.sqrt(1 - beta2**step)
    for i in range(len(z)):
        first[i] += (1 - beta1) * (g[i] - first[i])
        second[i] = beta2 * second[i] + (1 - beta2) * g[i] * g[i]
        z[i] -= size * first[i] / (np.sqrt(second[i]) / root + eps)


@_compiled
def _place(theta: Any, origin: Any, matrix: Any, z: Any) -> None:
    """theta = theta_0 + P z; without P, z."""
    if len(matrix):
        np.dot(matrix, z, theta)
        theta += origin
    else:
        theta[:] = z


@_compiled
def _clip(g: Any, ends: Any, most: float) -> None:
    """Shorten what lies between two of the `ends` to a norm of at most `most`."""
    for k in range(len(ends) - 1):
        part = g[ends[k] : ends[k + 1]]
        norm = np.sqrt(np.sum(part * part))
        if norm > most:
            part *= np.float32(most / norm)


@_compiled
def _push(state: Any, action: int) -> bool:
    """CartPole's step, in place; whether the pole has fallen."""
    force, sine, cosine = FORCE * (2 * action - 1), np.sin(state[2]), np.cos(state[2])
    push = (force + POLE * HALF_LENGTH * state[3] ** 2 * sine) / (CART + POLE)
    turn = (GRAVITY * sine - cosine * push) / (HALF_LENGTH * (4 / 3 - POLE * cosine**2 / (CART + POLE)))
    state[0] += SECONDS * state[1]
    state[1] += SECONDS * (push - POLE * HALF_LENGTH * turn * cosine / (CART + POLE))
    state[2] += SECONDS * state[3]
    state[3] += SECONDS * turn
    return abs(state[0]) > MOST_PLACE or abs(state[2]) > MOST_ANGLE


@_compiled
def episode(
    state: Any,
    draws: Any,
    counts: Any,
    rows: Any,
    sizes: Any,
    ends: Any,
    rates: Any,
    course: Any,
    net: Any,
    target: Any,
) -> int:
    """One episode, an update after each step; returns its steps.

    Args:
        state: (4,) float64 at the start.
        draws: (horizon, 2 + batch) float64, even in [0, 1): for the choice, the action by chance, the batch.
        counts: (steps, stored, updates, steps of Adam), changed in place.
        rows: of the experience.
        sizes: of the layers, from the observation's to the actions'.
        ends: of the parameters in z, for `clip`.
        rates: of Adam.
        course: gamma, l2, clip, exploration (first, last, updates), store_every, target_rate.
        net: theta, theta_0, P or nothing, z, and Adam's first and second moments.
        target: theta' and z', empty: the net's own.
    """
    theta, origin, matrix, z, first, second = net
    gamma, l2, most, begin, last, falls, every, rate = course
    own, follower = target
    size, out, horizon = draws.shape[1] - 2, sizes[-1], len(draws)
    room = 0
    for k in range(len(sizes)):
        room += sizes[k]
    seen, later = np.empty(size * room, np.float32), np.empty(size * room, np.float32)
    slopes, grad, small = np.empty(size * room, np.float32), np.empty_like(theta), np.empty(room, np.float32)
    observation = state.astype(np.float32)
    for time in range(horizon):
        chance = last + (begin - last) * max(0.0, 1 - counts[2] / falls)
        if draws[time, 0] < chance:
            action = int(draws[time, 1] * out)
        else:
            small[:4] = observation
            start = _forward(theta, sizes, 1, small)
            action = int(np.argmax(small[start : start + out]))
        over = _push(state, action) or time + 1 == horizon
        before, observation = observation, state.astype(np.float32)
        if over or counts[0] % every == 0:
            row = rows[counts[1] % len(rows)]
            row[:4], row[4:8], row[8], row[9], row[10] = before, observation, action, 1, not over
            counts[1] += 1
        counts[0] += 1
        held = min(counts[1], len(rows))
        if held >= size:
            for i in range(size):
                row = rows[int(draws[time, 2 + i] * held)]
                seen[4 * i : 4 * i + 4] = row[:4]
                later[4 * i : 4 * i + 4] = row[4:8]
            start = _forward(own if len(own) else theta, sizes, size, later)
            _forward(theta, sizes, size, seen)
            slopes[start : start + size * out] = 0
            for i in range(size):
                row, at = rows[int(draws[time, 2 + i] * held)], start + i * out
                worth = row[9] + gamma * row[10] * np.max(later[at : at + out])
                slopes[at + int(row[8])] = 2 * (seen[at + int(row[8])] - worth) / size
            _backward(theta, sizes, size, seen, slopes, grad, l2)
            g = np.dot(grad, matrix) if len(matrix) else grad
            _clip(g, ends, most)
            counts[3] += 1
            _adam(z, g, first, second, counts[3], rates)
            _place(theta, origin, matrix, z)
            counts[2] += 1
            if len(own):
                follower += np.float32(rate) * (z - follower)
                _place(own, origin, matrix, follower)
        if over:
            return time + 1
    return horizon


Cache.serve(episode)
