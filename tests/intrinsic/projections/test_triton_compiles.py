"""Every Triton kernel compiles for an NVIDIA GPU, also where there is none: the interpreter checks no types."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

# The kernels are launched as ever, on tensors without memory, by a driver that compiles and does no more.
LAUNCH = """
import sys
from importlib import import_module
from types import SimpleNamespace

import torch, triton
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

target = GPUTarget("cuda", 90, 32)
triton.runtime.driver.set_active(SimpleNamespace(
    get_current_device=lambda: 0, get_current_stream=lambda device: 0, get_current_target=lambda: target
))
run, compiled = JITFunction.run, {}


def compile_only(self, *args, grid, warmup, **options):
    kernel = run(self, *args, grid=grid, warmup=True, **options)
    compiled[self.__name__, kernel.hash] = kernel.asm["cubin"]


JITFunction.run = compile_only


DTYPES = torch.float32, torch.float64, torch.bfloat16, torch.float16


def empty(*shape, dtype):
    return torch.empty(shape, dtype=dtype, device="meta")


for case in sys.argv[1:]:
    name, dim, full_dim, forms = case.split(",")
    dim, full_dim = int(dim), int(full_dim)
    compiled.clear()
    n = 1 << (dim - 1).bit_length()
    blocks, side, index = -(-full_dim // n), int(full_dim**0.5) + 1, torch.int64 if full_dim >= 2**31 else torch.int32
    buffers = {
        "dense": {},
        "sparse": {
            f"{part}_{name}": empty(count, dtype=dtype)
            for part, rows in (("rows", full_dim), ("columns", dim))
            for name, count, dtype in (("start", rows + 1, index), ("index", dim * side, index),
                                       ("value", dim * side, torch.float32))
        },
        "fastfood": {
            "sign": empty(blocks, n, dtype=torch.int8), "gain": empty(blocks, n, dtype=torch.float32),
            "source": empty(blocks, n, dtype=torch.int16),
        },
        "kronecker": {
            "left": empty(side, 60, dtype=torch.int8), "right": empty(side, 60, dtype=torch.int8),
            "sign": empty(full_dim, dtype=torch.int8),
        },
        "onehot": {"code": empty(full_dim, dtype=torch.int16), "order": empty(full_dim, dtype=index)},
    }[name]
    projection = SimpleNamespace(dim=dim, full_dim=full_dim, seed=3, **buffers)
    kernels = import_module(f"intrinsic.projections.kernels.{name}_cuda")
    mixed = [empty(0, dtype=torch.float16), *(empty(full_dim, dtype=dtype) for dtype in DTYPES)]
    half = [empty(full_dim, dtype=torch.bfloat16)]
    for dtype in DTYPES[:2]:
        z, g = empty(dim, dtype=dtype), empty(full_dim, dtype=dtype)
        for origins in ([[], [g]] if "whole" in forms else []) + ([mixed] if "pieces" in forms else []):
            kernels.matvec_pieces(projection, z, origins, g.clone())
            if origins:
                kernels.rmatvec_pieces(projection, origins, z.clone())
    if "pieces" in forms:
        kernels.matvec_pieces(projection, empty(dim, dtype=torch.float32), half, half[0])
        kernels.rmatvec_pieces(projection, half, empty(dim, dtype=torch.float32))
    assert all(compiled.values())
    print(name, dim, full_dim, len(compiled))
"""


# the last needs 64-bit offsets; vectors whole, in pieces of all dtypes, or both
SIZES = [(1, 1, "whole"), (100, 4099, "pieces"), (3000, 3 << 30, "whole and pieces")]
CASES = [(name, *size) for name in ("dense", "sparse", "fastfood", "kronecker", "onehot") for size in SIZES]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="needs triton")
def test_kernels_compile_for_hopper(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", LAUNCH, *(",".join(map(str, case)) for case in CASES)],
        env=environment | {"TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = [line.split() for line in done.stdout.splitlines()]
    assert [(name, int(dim), int(full_dim)) for name, dim, full_dim, _ in found] == [case[:3] for case in CASES]
    assert all(int(kernels) >= 4 for *_, kernels in found)  # forward and adjoint in both dtypes
