"""Steps of `fit` that leave out what nobody looks at: the same bits as where somebody does."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import intrinsic
from intrinsic.models.lenet import LeNet
from intrinsic.models.mlp import MLP
from intrinsic.models.vit import ViT
from intrinsic.subspace.leaves import Leaves
from intrinsic.tasks.task import Split, classification
from intrinsic.training.fit import fit

SHAPE, CLASSES = (1, 16, 16), 4


class Checkpointed(nn.Module):
    """Layers that are run again in the backward pass; one is tied, one is unused."""

    def __init__(self, reentrant=False):
        super().__init__()
        self.reentrant = reentrant
        self.first, self.second, self.unused = nn.Linear(256, 8), nn.Linear(8, 8), nn.Linear(3, 3)
        self.tied, self.last = nn.Linear(8, 8), nn.Linear(8, CLASSES)
        self.tied.weight = self.second.weight

    def forward(self, x):
        hidden = self.first(x.flatten(1)).tanh()
        part = lambda x: self.tied(self.second(x).tanh())  # noqa: E731
        again = torch.is_grad_enabled()
        return self.last(checkpoint(part, hidden, use_reentrant=self.reentrant) if again else part(hidden))


class Cast(Checkpointed):
    """Half precision within the model: the gradients of the tied weight are rounded before they are added."""

    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16):
            return super().forward(x)


class Skipping(Checkpointed):
    """At every third step a layer is left out, and so has no gradient."""

    steps = 0

    def forward(self, x):
        self.steps += self.training
        hidden = self.first(x.flatten(1)).tanh()
        if self.steps % 3:
            hidden = self.tied(self.second(self.unused(hidden[:, :3]).repeat(1, 3)[:, :8]))
        return self.last(hidden)


def normalised():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(256, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 4)
    )


MODELS = {
    "mlp": partial(MLP, SHAPE, CLASSES, depth=2, width=16, dropout=0.1),
    "lenet": partial(LeNet, SHAPE, CLASSES),
    "transformer": partial(ViT, SHAPE, CLASSES, patch=8, width=8, depth=1, heads=2, dropout=0.1),
    "norm": normalised,
    "checkpoint": Checkpointed,
    "skipping": Skipping,
    "reentrant": partial(Checkpointed, reentrant=True),
    "cast": Cast,
    "half": lambda: normalised().bfloat16(),
    "double": lambda: normalised().double(),
}
ADAM, SGD = partial(torch.optim.Adam, lr=0.05), partial(torch.optim.SGD, lr=0.1)
ONE_CYCLE = partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.1, epochs=2)  # of betas and momentum, too
CASES = {  # model, projection, options of the net, optimiser, options of the fit
    "adam": ("mlp", intrinsic.OneHot, {}, ADAM, {}),
    "adamw": ("norm", intrinsic.Sparse, {}, partial(torch.optim.AdamW, lr=0.05, amsgrad=True), {"l2_weights": 0.01}),
    "sgd": (
        "lenet",
        intrinsic.Fastfood,
        {},
        partial(SGD, momentum=0.9, nesterov=True),
        {"schedule": ONE_CYCLE, "interval": "step"},
    ),
    "plain sgd": ("checkpoint", intrinsic.Dense, {"granularity": "tensor"}, partial(SGD, weight_decay=0.1), {}),
    "head": ("transformer", intrinsic.Kronecker, {"head": "train"}, ADAM, {"schedule": ONE_CYCLE, "interval": "step"}),
    "half": ("half", intrinsic.OneHot, {}, ADAM, {}),
    "double": ("double", intrinsic.Sparse, {}, partial(torch.optim.AdamW, lr=0.05, weight_decay=0.0), {}),
    "sparse": ("lenet", intrinsic.Sparse, {}, ADAM, {"schedule": ONE_CYCLE, "interval": "step"}),
    "fastfood": ("mlp", intrinsic.Fastfood, {}, ADAM, {"l2_weights": 0.01}),
    "kronecker": ("norm", intrinsic.Kronecker, {}, ADAM, {}),
    "decay": ("mlp", intrinsic.OneHot, {}, partial(ADAM, weight_decay=0.1), {}),
    "without a gradient": ("checkpoint", intrinsic.OneHot, {}, ADAM, {}),
    "at times without": ("skipping", intrinsic.OneHot, {}, ADAM, {}),
}
# how many of 6 steps one kernel takes: not the first, which makes Adam's state
DESCENTS = {
    **dict.fromkeys(("adam", "half", "double", "sparse", "fastfood", "kronecker"), 5),
    "at times without": 3,
}


def train(case, watched):
    """The net, its optimiser and what `fit` yields, for a `fit` whose gradients and steps somebody watches, or not."""
    model, projection, options, make, rest = CASES[case]
    torch.manual_seed(0)
    net = intrinsic.Subspace(MODELS[model](), projection=projection, dim=20, **options)
    dtype = next(net.model.parameters()).dtype
    generator = torch.Generator().manual_seed(0)
    data = Split(
        torch.rand(20, *SHAPE, generator=generator).to(dtype), torch.randint(CLASSES, (20,), generator=generator)
    )
    optimizer, seen = make(net.parameters(), fused=True), []
    if watched:
        net.z.register_hook(seen.append)
        optimizer.register_step_post_hook(lambda *_: None)
    assert (net.leaves() is None) == watched
    task = classification(data, data, data, num_outputs=CLASSES)
    history = list(fit(net, task, optimizer, epochs=2, batch_size=8, seed=0, **rest))
    parts = 2 if model == "reentrant" else 1
    assert len(seen) == (6 * parts if watched else 0)
    return net, optimizer, [(epoch.train_loss, epoch.validation) for epoch in history]


@pytest.mark.parametrize("case", CASES)
def test_nobody_sees_a_difference(case, monkeypatch):
    taken = []
    forget = Leaves.forget_gradients
    monkeypatch.setattr(Leaves, "forget_gradients", lambda leaves: taken.append(forget(leaves)))
    nets, optimizers, histories = zip(*(train(case, watched) for watched in (False, True)), strict=True)
    assert histories[0] == histories[1]
    for mine, other in zip(*(net.state_dict().values() for net in nets), strict=True):
        assert torch.equal(mine, other)
    assert nets[0].z.any()
    assert torch.equal(nets[0].z.grad, nets[1].z.grad)
    torch.testing.assert_close(*(optimizer.state_dict() for optimizer in optimizers), rtol=0, atol=0)
    assert len(taken) == DESCENTS.get(case, 0)


@pytest.mark.parametrize(("model", "rtol"), [("reentrant", 1e-4), ("cast", 0.02)])  # of float32, of bfloat16
def test_the_same_to_rounding_where_gradients_come_in_parts(model, rtol, monkeypatch):
    monkeypatch.setitem(CASES, model, (model, intrinsic.OneHot, {}, partial(SGD, lr=0.1), {}))
    one, other = (train(model, watched)[0].z.detach() for watched in (False, True))
    assert (one - other).norm() < rtol * other.norm()
    assert one.any()


def test_the_model_holds_theta_0_again_whatever_ends_an_epoch():
    model = normalised()
    before = {name: (parameter, parameter.detach().clone()) for name, parameter in model.named_parameters()}
    net = intrinsic.Subspace(model, projection=intrinsic.OneHot, dim=20)
    with torch.no_grad():
        net.z.fill_(1)

    def end_early(leaves):
        with leaves.held():
            leaves.move()
            assert not model[1].weight.equal(before["1.weight"][1])
            raise ZeroDivisionError("an epoch's end")

    with pytest.raises(ZeroDivisionError, match="an epoch's end"):
        end_early(net.leaves())
    for name, parameter in model.named_parameters():
        assert parameter is before[name][0]
        assert parameter.equal(before[name][1])
    assert not net(torch.ones(2, *SHAPE)).equal(model(torch.ones(2, *SHAPE)))  # places are places again


@pytest.mark.parametrize(
    "reason", ["scales", "stream", "dtypes", "full", "other weights", "other call", "recurrent", "compiled"]
)
def test_where_leaves_will_not_do(reason):
    class Other(intrinsic.Subspace):
        def weights(self):
            return super().weights()

    class Caller(intrinsic.Subspace):
        def call(self, *args):
            return super().call(*args)

    kind = {"other weights": Other, "other call": Caller}.get(reason, intrinsic.Subspace)
    model = normalised() if reason != "recurrent" else nn.Sequential(nn.LSTM(4, 4), nn.Linear(4, 2))
    if reason == "compiled":
        model[1].compile(backend="eager")
    if reason == "dtypes":
        model[1].double()
    options = {"scales": "layer"} if reason == "scales" else {"stream": True} if reason == "stream" else {}
    made = {} if reason == "full" else {"projection": intrinsic.OneHot, "dim": 20}
    assert kind(model, **made, **options).leaves() is None
