"""Published results: numbers to measure against, each with its source. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

LI = "Li et al. 2018, arXiv:1804.08838"


@dataclass(frozen=True)
class PublishedCurve:
    """One published curve and its d90: the smallest tried d whose accuracy exceeds `fraction` of the baseline.

    Args:
        task: its name, that of the experiment file.
        source: where the numbers stand.
        match: what a run's config has, by dotted key, if it is of this task.
        full_dim: D.
        stated: d90 as the paper states it.
        individual: d90 in the authors' data against the network's own full training.
        overall: d90 in the authors' data against `ceiling`, the same for every network.
        ceiling: the global baseline.
        full: lowest and highest published accuracy of full training.
        curve: by d, lowest and highest published accuracy; of episodes the mean return.
        split: the examples that accuracy is of.
        fraction: of the baseline.
    """

    task: str
    source: str
    match: Mapping[str, object]
    full_dim: int
    stated: int | None = None
    individual: int | None = None
    overall: int | None = None
    ceiling: float = 1.0
    full: tuple[float, float] | None = None
    curve: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    split: str = "test"
    fraction: float = 0.9


def _data(name: str, **changes: object) -> dict[str, object]:
    plain = {"rotate": 0, "shuffle_pixels": False, "shuffle_labels": False, "fraction": 1.0, **changes}
    return {f"dataset.{key}": value for key, value in plain.items()} | {
        "dataset._target_": f"intrinsic.data.{name}.{name}",
        "init.source": None,
    }


def _fc(depth: int = 2, width: int = 200) -> dict[str, object]:
    return {"model._target_": "intrinsic.models.mlp.MLP", "model.depth": depth, "model.width": width}


def _net(module: str, name: str) -> dict[str, object]:
    return {"model._target_": f"intrinsic.models.{module}.{name}"}


def _points(curve: Mapping[int, float]) -> dict[int, tuple[float, float]]:
    return {dim: (score, score) for dim, score in curve.items()}


def _control(name: str, optim: str, width: int = 20, identity: str | None = None) -> dict[str, object]:
    return {
        "dataset._target_": f"intrinsic.data.{name}.{name}",
        "optim._target_": f"intrinsic.training.{optim}",
        **_fc(2, width),
        **({} if identity is None else {"dataset.id": identity}),
    }


ES, DQN = "evolution_strategy.EvolutionStrategy", "deep_q_learning.DeepQLearning"
DQN_CURVE = {
    5: 9.9, 8: 80, 10: 51, 15: 58, 20: 81, 22: 164, 24: 147, 25: 177, 30: 185, 35: 195,
}  # fmt: skip
FC_CURVE = {
    100: (0.58, 0.61), 200: (0.755, 0.760), 300: (0.817, 0.819), 500: (0.862, 0.869), 750: (0.891, 0.900),
    1000: (0.902, 0.916), 1500: (0.923, 0.930),
}  # fmt: skip
LENET_CURVE = {
    50: 0.570, 100: 0.763, 200: 0.864, 290: 0.901, 500: 0.939, 1000: 0.963, 2000: 0.975, 5000: 0.983,
}  # fmt: skip
UNTIED_CURVE = {
    100: 0.6446, 200: 0.7978, 300: 0.8339, 450: 0.8887, 600: 0.9001, 1000: 0.925, 1500: 0.9431,
}  # fmt: skip
FC_LENET_CURVE = {
    300: 0.6986, 600: 0.8061, 1000: 0.865, 1400: 0.8787, 2000: 0.9004, 5000: 0.9295, 10_000: 0.9432,
}  # fmt: skip
CIFAR_FC_CURVE = {
    1000: (0.3413, 0.3485), 3000: (0.4071, 0.4125), 5000: (0.4313, 0.4383), 7000: (0.4486, 0.4533),
    8000: (0.4595, 0.4620), 9000: (0.4581, 0.4645), 15_000: (0.4712, 0.4838),
}  # fmt: skip
CIFAR_LENET_CURVE = {
    500: (0.3832, 0.3844), 1000: (0.4607, 0.4642), 2000: (0.5037, 0.5060), 2900: (0.5317, 0.5375),
    5000: (0.5599, 0.5646), 10_000: (0.5967, 0.5993),
}  # fmt: skip
LABELS_CURVE = {10_000: 0.151, 50_000: 0.335, 100_000: 0.544, 150_000: 0.764, 190_000: 0.904}
# by width, then for depth 1 ... 5: d90 against the global baseline, with sparse P
GRID = {
    50: (650, 575, 650, 675, 675),
    100: (675, 625, 625, 625, 625),
    200: (650, 625, 650, 650, 625),
    400: (775, 650, 650, 725, 675),
}


def _memorised(percent: int, stated: int) -> PublishedCurve:
    whole = percent == 100
    return PublishedCurve(
        f"mnist_fc_shuffled_labels{'' if whole else f'_{percent}'}",
        f"{LI}, table 1; thresholded at 0.89 in the authors' code",
        _data("mnist", shuffle_labels=True, fraction=percent / 100) | _fc(5, 400),
        959_610,
        stated,
        full=(0.994, 0.994) if whole else None,
        curve=_points(LABELS_CURVE) if whole else {},
        split="train",
        fraction=0.89,
    )


TABLE, DATA = f"{LI}, table 1", "the authors' data"
SOLVED = f"{LI}, section 3.4: where the task is solved, d100"
PUBLISHED = (
    PublishedCurve(
        "mnist_fc", f"{TABLE}; {DATA}", _data("mnist") | _fc(), 199_210, 750, 625, 850, 1.0, (0.980, 0.982), FC_CURVE
    ),
    PublishedCurve(
        "mnist_lenet", f"{TABLE}; {DATA}", _data("mnist") | _net("lenet", "LeNet"), 44_426, 290, 275, 290, 1.0,
        (0.991, 0.991), _points(LENET_CURVE),
    ),
    PublishedCurve(
        "mnist_fc_shuffled_pixels", f"{TABLE}; {DATA}", _data("mnist", shuffle_pixels=True) | _fc(), 199_210,
        750, 500, 650,
    ),
    PublishedCurve(
        "mnist_lenet_shuffled_pixels", f"{TABLE}; {DATA}",
        _data("mnist", shuffle_pixels=True) | _net("lenet", "LeNet"), 44_426, 1400, 750, 1400, 1.0, (0.956, 0.956),
        _points({300: 0.765, 750: 0.868, 1400: 0.902}),
    ),
    _memorised(100, 190_000),
    _memorised(50, 130_000),
    _memorised(10, 90_000),
    PublishedCurve(
        "mnist_lenet_untied", f"{LI}; {DATA}", _data("mnist") | _net("untied_lenet", "UntiedLeNet"), 286_334,
        None, 450, 600, 1.0, (0.986, 0.986), _points(UNTIED_CURVE),
    ),
    PublishedCurve(
        "mnist_fc_lenet", f"{LI}; {DATA}", _data("mnist") | _net("fc_lenet", "FCLeNet"), 3_640_574,
        None, 1400, 2000, 1.0, (0.9758, 0.9758), _points(FC_LENET_CURVE),
    ),
    PublishedCurve(
        "cifar_fc", f"{TABLE}; {DATA}", _data("cifar10") | _fc(), 656_810, 9000, 8000, 7000, 0.5, (0.5061, 0.5136),
        CIFAR_FC_CURVE,
    ),
    PublishedCurve(
        "cifar_lenet", f"{TABLE}; {DATA}", _data("cifar10") | _net("lenet", "LeNet"), 62_006, 2900, 2900, 1000, 0.5,
        (0.5754, 0.5890), CIFAR_LENET_CURVE,
    ),
    PublishedCurve(
        "cartpole", f"{LI}, section 3.4: by DQN", _control("cartpole", ES), 562, 25, ceiling=200
    ),
    PublishedCurve(
        "cartpole_dqn", f"{LI}, section 3.4; {DATA}: the last 100 training episodes, mean of 5 repeats",
        _control("cartpole", DQN), 562, 25, 25, ceiling=200, full=(195, 195), curve=_points(DQN_CURVE),
    ),
    PublishedCurve(
        "pendulum", f"{SOLVED}; a network of 4-20-20-2 on version 1 of the environment",
        _control("gymnasium", ES, identity="InvertedPendulum-v5"), 541, 4, ceiling=1000,
    ),
    PublishedCurve(
        "humanoid", f"{SOLVED}, on version 1 of the environment",
        _control("gymnasium", ES, 256, "Humanoid-v4"), 166_673, 700, ceiling=6000,
    ),
    PublishedCurve(
        "pong", SOLVED,
        {
            "dataset._target_": "intrinsic.data.gymnasium.gymnasium", "dataset.id": "ALE/Pong-v5",
            "optim._target_": f"intrinsic.training.{ES}", **_net("atari", "Atari"),
        },
        1_005_974, 6000, ceiling=21,
    ),
    *(
        PublishedCurve(
            f"mnist_fc_{width}x{depth}", f"{LI}; {DATA}: sparse P", _data("mnist") | _fc(depth, width),
            784 * width + width + (depth - 1) * (width + 1) * width + 10 * (width + 1), overall=overall,
        )
        for width, row in GRID.items()
        for depth, overall in enumerate(row, start=1)
        if (width, depth) != (200, 2)  # that is mnist_fc
    ),
)  # fmt: skip
