"""The setup of a run from its config: device, task, net, optimiser and schedule."""

import contextlib
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from experiments.config.build import build
from experiments.config.check_config import Config, check_config
from experiments.config.check_sizes import check_sizes
from experiments.run.choose_weights import choose_weights
from experiments.run.environment import choose_device, set_threads
from experiments.run.pretrain import SourceTask
from experiments.run.reader import Reader
from experiments.run.schedule import Schedule
from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.files.run_id import SINCE
from intrinsic.files.seed_of import SOURCES, seed_of
from intrinsic.layers.int8 import quantize
from intrinsic.subspace import Subspace
from intrinsic.subspace.redrawn import Redrawn
from intrinsic.surgery.compiler_internals import import_compiler_later
from intrinsic.tasks.task import Task
from intrinsic.training.epoch import Epoch
from intrinsic.training.fit import check_numbers
from intrinsic.training.rate_groups import check_groups, rate_factors, rate_groups

NUMBERS = ("epochs", "batch_size", "l2_weights", "patience")  # of training, that `fit` takes by these names


class Setup:
    """What a resolved config stands for. Each part is made when it is first read, and once.

    A part may be given instead of made: replicas have one `task` and one `device`.

    Args:
        config: of a run, or of a record, which another version's may lack keys for parts that are not read; `given` as
            it is, `config` with the knobs that came later.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.given = config
        self.config = Config({**SINCE, **config})  # what it has not is missed in one line
        import_compiler_later()

    def check(self) -> None:
        """Refuse what would only be noticed after long work.

        Raises:
            UserError: for a number that is out of range, what an optimiser or a schedule refuses, and a knob of another
                kind, and a size that is not the knob of its name.
        """
        check_numbers(**self.numbers)
        rng.fan_out(self.seed)
        for source in SOURCES:
            seed_of(self.config, source)
        _ = self.schedule
        check_groups(self.config["lr_groups"] or {})
        Redrawn.check(self.config["redraw"], self.config["redraw_optimizer"])
        if self.config["base"] not in ("float32", "int8"):
            raise UserError(f"need base=float32 or int8, got base={self.config['base']}")
        check_config(self.config)
        check_sizes(self.config)
        if self.config["projection"].get("file", "") is None:
            raise UserError("need projection.file=..., a file trajectory.safetensors that python -m "
                            "experiments.trajectory has written")  # fmt: skip

    @property
    def numbers(self) -> dict[str, Any]:
        """What `fit` takes beside what is made here."""
        return {key: self.config[key] for key in NUMBERS}

    @property
    def epochs(self) -> int:
        """Epochs of training."""
        return int(self.config["epochs"])

    @property
    def l2_weights(self) -> float:
        """See `intrinsic.training.fit`."""
        return float(self.config["l2_weights"])

    @property
    def seed(self) -> int:
        """The run's seed, which fans out."""
        seed: int = self.config["seed"]
        return seed

    @property
    def training_seeds(self) -> dict[str, int]:
        """Those of `fit`: of the order of the data, and of dropout and noise."""
        sources = {"seed": "order", "dropout_seed": "dropout"}
        return {name: rng.fan_out(seed_of(self.config, source), "training") for name, source in sources.items()}

    @cached_property
    def device(self) -> torch.device:
        """The device to train on, ready to be measured."""
        device = choose_device(self.config["device"])
        set_threads(self.config["threads"])
        # weights of pixels that are always black decay to numbers below 1e-38, on which a CPU is ten times slower
        torch.set_flush_denormal(True)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        return device

    @cached_property
    def reader(self) -> Reader:
        """What the model reads, and what it answers."""
        return Reader(self.config["model"], self.config.get("tokenizer"))

    @cached_property
    def task(self) -> Task:
        """The dataset as the model reads it, on the device."""
        device = self.device
        return self.reader.task(self.config["dataset"], self.config["data_dir"]).to(device)

    def model(self) -> nn.Module:
        """A model for the task, at random weights from the seed; the global random state stays as it was."""
        return self.reader.model(self.task, seed_of(self.config, "init"))

    @cached_property
    def net(self) -> Subspace:
        """The model at its theta_0, inside the subspace of the method."""
        config, model = self.config, self.model()
        space, projection = build(config["space"], "space"), build(config["projection"], "projection")
        if "granularity" in config and "granularity" not in config["subspace"]:
            raise UserError("granularity does nothing with projection=identity: use another projection")
        node: dict[str, Any] = {"_target_": "intrinsic.subspace.Subspace", "_partial_": True}
        if config["redraw"] is not None:
            node["_target_"] = "intrinsic.subspace.redrawn.Redrawn"
            node |= {"every": config["redraw"], "optimizer": config["redraw_optimizer"]}
        wrap = build({**node, **config["subspace"]}, "subspace")
        self._initialize(model)
        if config["base"] == "int8":
            quantize(model)
        sources = {"seed": "init", "projection_seed": "projection"}
        seeds = {name: rng.fan_out(seed_of(config, source), "subspace") for name, source in sources.items()}
        brought = _numel(model)
        make: Callable[..., Subspace] = partial(wrap, model.to(self.device), space=space, head=config["head"], **seeds)
        if config["select_by"] != "random":
            projection = partial(projection, index=self._choose(make(projection=projection)))
        net = make(projection=projection)
        self.draws_init = config["init"]["source"] in (None, "hub") or _numel(net.model) > brought
        return net

    def _choose(self, net: Subspace) -> list[int]:
        config, seed = self.config, seed_of(self.config, "order")
        size = {"count": config["select_batches"], "batch_size": config["batch_size"]}
        places = choose_weights(net, self.task, by=config["select_by"], seed=seed, **size)
        net.unwrap()
        return places

    def _initialize(self, model: nn.Module) -> None:
        """Bring a model to its theta_0, from the weights that it was drawn with or brought along."""
        source = self.config["init"]["source"]
        if source == "zero":
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.zero_()
        elif source == "hub":
            self.reader.check_weights()
        elif source is not None:
            model.load_state_dict(self.source_task.weights(self.task, self.device))

    @property
    def source_task(self) -> SourceTask:
        """What theta_0 is trained on before, where it is."""
        folder = Path(self.config["output"]) / ".pretrained"
        return SourceTask.of(self.config["init"], self.config["dataset"], self.reader, folder, self.config["data_dir"])

    @cached_property
    def make_optimizer(self) -> Callable[[Any], Optimizer]:
        """What makes an optimiser of parameters."""
        make: Callable[[Any], Optimizer] = build(self.config["optim"], "optim")
        return make

    @cached_property
    def optimizer(self) -> Optimizer:
        """The optimiser of what the net trains."""
        return self.make_optimizer(rate_groups(dict(self.net.named_parameters()), self.rate_factors, self.lr))

    @cached_property
    def rate_factors(self) -> dict[str, float]:
        """By which the learning rate of each trained parameter is multiplied."""
        return rate_factors(self.net, self.config["lr_groups"] or {})

    @cached_property
    def schedule(self) -> Schedule:
        """What makes the optimiser's scheduler, tried with an optimiser of nothing."""
        return Schedule.of(self.config["schedule"], self._trial)

    @cached_property
    def lr(self) -> float:
        """The learning rate, which an optimiser may have by itself."""
        rate: float = self._trial.defaults["lr"]
        return rate

    @cached_property
    def _trial(self) -> Optimizer:
        """An optimiser of nothing: it costs no net to learn what the optimiser refuses, and its learning rate."""
        return self.make_optimizer([torch.zeros(1, requires_grad=True)])

    @contextlib.contextmanager
    def open_logger(self, folder: Path) -> Iterator[Callable[[Epoch], None]]:
        """What tells the config's logger of an epoch."""
        if not self.config["logger"]:
            yield lambda epoch: None
            return
        with build(self.config["logger"], "logger")(config=self.config, folder=folder) as logger:
            yield logger.log


def _numel(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
