"""Wiring is all or nothing: an interrupt at any line of a space's own code leaves the model as it was."""

import gc
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

import intrinsic
from tests.contracts.test_transformer_grid import space_of
from tests.support.configs import names
from tests.support.tiny_transformers import batch, logits, tiny

PACKAGE = Path(intrinsic.__file__).parent
CHANGING = (
    *(str(PACKAGE / name) for name in ("layers", "spaces", "subspace")),
    *(str(PACKAGE / "surgery" / name) for name in ("as_it_was", "head", "torch_internals", "tree", "wrapper")),
)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def state(model):
    """All that hangs on the modules, by identity, in its order."""

    def seen(value):
        if isinstance(value, dict):
            return [(key, id(item)) for key, item in value.items()]
        return [id(item) for item in value] if isinstance(value, list | tuple) else []

    return [
        (id(module), type(module), {name: (id(value), seen(value)) for name, value in vars(module).items()})
        for module in model.modules()
    ], [parameter.requires_grad for parameter in model.parameters()]


def traced(do, at_line):
    """Call `do`, and `at_line(place)` before each line of the package that may change a model."""

    def local(frame, event, _):
        if event == "line":
            at_line((frame.f_code.co_filename, frame.f_lineno))
        return local

    before = sys.gettrace()
    sys.settrace(lambda frame, event, _: local if frame.f_code.co_filename.startswith(CHANGING) else None)
    try:
        return do()
    finally:
        sys.settrace(before)


def risky(model, make):
    """The lines that are run while the model is another one than before, each with its last time."""
    before, times, counted, found = state(model), Counter(), Counter(), {}
    traced(make, lambda place: times.update([place])).unwrap()

    def look(place):
        counted[place] += 1
        if counted[place] == times[place] and state(model) != before:
            found[place] = times[place]

    traced(make, look).unwrap()
    return found


@pytest.mark.parametrize("name", names("space"))
def test_an_interrupt_leaves_the_model_as_it_was(name):
    model, space = tiny("bert", num_hidden_layers=1).train(), space_of(name, "bert")
    model.bert.encoder.layer[0].register_forward_hook(lambda *_: None)
    model.bert.encoder.layer[0].output.dense.register_forward_pre_hook(lambda *_: None)
    model.bert.embeddings.requires_grad_(False)

    def make():
        return intrinsic.Subspace(model, space=space)

    outputs = logits(model, "bert")
    model.train()
    places, before = risky(model, make), state(model)
    assert len(places) > 20
    for stop, last in places.items():
        left = [last]

        def raise_there(place, stop=stop, left=left):
            left[0] -= place == stop
            if left == [0]:
                left.clear()
                raise KeyboardInterrupt("while it is wired")

        with pytest.raises(KeyboardInterrupt, match="while it is wired"):
            traced(make, raise_there)
        assert state(model) == before, stop
    gc.collect()
    torch.testing.assert_close(logits(model, "bert"), outputs, atol=0, rtol=0)
    assert make()(**batch("bert")).loss > 0  # nothing of the others is in its way
