"""Kernels that are wrong, or do not compile, are left out with one warning, and plain torch multiplies."""

import threading
import warnings
from types import ModuleType

import pytest
import torch
from numba.core.errors import TypingError

import intrinsic
from benchmarks.gpu import kernels as measured
from benchmarks.gpu import table
from intrinsic.projections import onehot
from intrinsic.projections.kernels import dense_cpu, onehot_cpu, select

LEFT_OUT = r"the kernels of OneHot on cpu{} are left out, and plain torch multiplies: {}"


@pytest.fixture(autouse=True)
def unproven(monkeypatch):
    """As in a new process; what a test finds is forgotten."""
    monkeypatch.setattr(select, "_CHOSEN", {})
    monkeypatch.setattr(select, "_LEFT_OUT", {})
    select._find.cache_clear()


def product(dtype=torch.float32):
    """P z, P^T g and origin + P z of a new projection, each compared with plain torch."""
    projection = intrinsic.OneHot(9, 31, seed=3)
    z, g = torch.linspace(-1, 1, 9, dtype=dtype), torch.linspace(1, 2, 31, dtype=dtype)
    torch.testing.assert_close(projection(z), projection.matvec(z))
    torch.testing.assert_close(projection.adjoint(g), projection.rmatvec(g))
    out = torch.full_like(g, torch.nan)
    projection.displace(z, g, out)
    torch.testing.assert_close(out, g + projection.matvec(z))


def twice():
    product()
    product()


def scaled(right, factor):
    def wrong(*arguments):
        right(*arguments)
        arguments[-1].mul_(factor)

    return wrong


@pytest.mark.parametrize("name", ["matvec_pieces", "rmatvec_pieces"])
@pytest.mark.parametrize("factor", [1.001, torch.nan])
def test_a_wrong_kernel_is_left_out(name, factor, monkeypatch):
    monkeypatch.setattr(onehot_cpu, name, scaled(getattr(onehot_cpu, name), factor))
    with pytest.warns(RuntimeWarning, match=LEFT_OUT.format(" in float32", "ArithmeticError: P.* is wrong by")):
        product()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        product()  # told once
    assert select.select(intrinsic.OneHot, torch.ones(9)) is None


def test_a_kernel_is_asked_for_each_of_its_uses(monkeypatch):
    right = onehot_cpu.matvec_pieces
    faults = {
        "origin . P z": lambda p, z, origins, out: right(p, z, [], out),  # forgets the origin
        "origin . P z in place": lambda p, z, origins, out: right(p, z, origins, out.zero_()),  # writes before it reads
        "origin in pieces . P z": lambda p, z, origins, out: right(p, z, origins[:1], out),  # forgets the others
        "P z": lambda p, z, origins, out: right(p, z, origins, out) or out[-1:].fill_(torch.nan),
    }
    for name, fault in faults.items():
        monkeypatch.setattr(onehot_cpu, "matvec_pieces", fault)
        select._CHOSEN.clear()
        select._LEFT_OUT.clear()
        with pytest.warns(RuntimeWarning, match=f"ArithmeticError: {name} is wrong"):
            product()


def test_signs_that_are_drawn_are_proven_too(monkeypatch):
    stored, drawn = intrinsic.Dense(9, 31, seed=3), dense_cpu.others(intrinsic.Dense(9, 31, seed=3))
    assert not list(drawn[0].buffers())
    monkeypatch.setattr(dense_cpu, "others", lambda projection: [intrinsic.Dense(33, 4099, seed=7)])
    with pytest.warns(RuntimeWarning, match="the kernels of Dense on cpu in float32 are left out"):
        torch.testing.assert_close(stored(torch.ones(9)), stored.matvec(torch.ones(9)))


@pytest.mark.parametrize("error", [TypingError("no\n such type"), ImportError("Numba needs NumPy 2.2 or less")])
def test_kernels_that_cannot_be_had_are_left_out(error, monkeypatch):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(
        *((onehot_cpu, "matvec_pieces") if isinstance(error, TypingError) else (select, "import_module")), fail
    )
    reason = "TypingError: .*no such type" if isinstance(error, TypingError) else "ImportError: Numba needs NumPy"
    where = " in float32" if isinstance(error, TypingError) else ""
    with pytest.warns(RuntimeWarning, match=LEFT_OUT.format(where, reason)) as found:
        twice()
    assert len(found) == 1


def test_memory_that_is_short_says_nothing_about_kernels(monkeypatch):
    def fail(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(onehot_cpu, "matvec_pieces", fail)
        with pytest.raises(torch.OutOfMemoryError, match="out of memory"):
            product()
    product()
    assert select.select(intrinsic.OneHot, torch.ones(9)).__name__.endswith("onehot_cpu")


def test_what_does_not_compile_for_another_size_is_left_out_then(monkeypatch):
    product()
    kernels = select.select(intrinsic.OneHot, torch.ones(9))

    def fail(*arguments):
        raise RuntimeError("PassManager::run failed")

    monkeypatch.setattr(onehot_cpu, "rmatvec_pieces", fail)
    with pytest.warns(RuntimeWarning, match=LEFT_OUT.format(" in float32", "RuntimeError: PassManager")) as found:
        twice()
    assert len(found) == 1
    assert select.select(intrinsic.OneHot, torch.ones(9)) is None
    monkeypatch.setattr(onehot_cpu, "matvec_pieces", lambda *arguments: {}["a bug"])
    with pytest.raises(KeyError, match="a bug"):
        kernels.matvec(intrinsic.OneHot(9, 31, seed=3), torch.ones(9), [], torch.ones(31))


def test_threads_wait_for_one_proof(monkeypatch):
    proofs, found, right = [], [], select.prove
    monkeypatch.setattr(select, "prove", lambda *arguments: proofs.append(arguments) or right(*arguments))
    threads = [
        threading.Thread(target=lambda: found.append(select.select(intrinsic.OneHot, torch.ones(3)))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(proofs) == 1
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
    assert found[0] is not None


def test_a_proof_leaves_everything_as_it_is():
    torch.manual_seed(0)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert select.select(intrinsic.OneHot, torch.ones(3)) is not None
        assert torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu")
    z = torch.ones(9, requires_grad=True)
    intrinsic.OneHot(9, 31, seed=3)(z).sum().backward()
    assert z.grad is not None
    assert torch.is_grad_enabled()
    assert torch.equal(state, torch.get_rng_state())
    assert threads == torch.get_num_threads()


def test_autocast_does_not_reach_kernels(monkeypatch):
    seen, right = [], onehot_cpu.matvec_pieces

    def watch(*arguments):
        seen.append(torch.is_autocast_enabled("cpu"))
        right(*arguments)

    monkeypatch.setattr(onehot_cpu, "matvec_pieces", watch)
    projection, out = intrinsic.OneHot(9, 31, seed=3), torch.empty(31)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        projection.displace(torch.ones(9), torch.ones(31), out)
    assert seen
    assert not any(seen)
    torch.testing.assert_close(out, 1 + projection.matvec(torch.ones(9)))


def test_what_a_proof_multiplies_itself_is_plain_torch(monkeypatch):
    seen = []

    class Asking(intrinsic.OneHot):
        __module__ = onehot.__name__

        def matvec(self, z):
            seen.append(select.select(Asking, torch.ones(3, dtype=torch.float32)))
            return super().matvec(z)

    assert select.select(Asking, torch.ones(3)) is not None
    assert seen == [None]


def test_a_class_that_cannot_be_drawn_is_left_out():
    class Asking(intrinsic.OneHot):
        __module__ = onehot.__name__

        def __init__(self, dim, full_dim, *, seed, taste):
            super().__init__(dim, full_dim, seed=seed)

    projection = Asking(9, 31, seed=3, taste="sweet")
    with pytest.warns(RuntimeWarning, match="kernels of Asking .* TypeError: .*'taste'"):
        torch.testing.assert_close(projection(torch.ones(9)), projection.matvec(torch.ones(9)))


def test_the_benchmark_names_what_is_left_out(monkeypatch):
    broken = ModuleType("onehot_cpu")  # with no kernels
    right = select._find
    monkeypatch.setattr(select, "_find", lambda module, *rest: broken if "onehot" in module else right(module, *rest))
    with pytest.warns(RuntimeWarning, match=LEFT_OUT.format(" in float..", "AttributeError")):
        rows = list(measured.measure(torch.device("cpu"), "tiny", "onehot"))
    rows = [row for row in rows if row["granularity"] == "global"]
    assert {row["kernel"] for row in rows} == {"plain torch"}
    assert all(row["ok"] for row in rows)
    assert any(line.startswith("- the kernels of OneHot on cpu in float32") for line in table._kernels(rows))
