"""kernels.cu compiled for the host by g++: the arithmetic, the grids and the argument types without a card."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from audiosae.backends.gpu_launch import SOURCE, instance_names

SCALARS = {"int": np.int32, "Index": np.int64, "double": np.float64}
POINTED = {"float": np.float32, "double": np.float64, "Index": np.int64}


@dataclass(frozen=True)
class Signature:
    """A kernel's template parameters and the types of its arguments, as kernels.cu has them."""

    template: list[str]
    types: list[str]

    def of(self, arguments):
        """Return the types of an instance."""
        known = dict(zip(self.template, arguments, strict=True))
        return [re.sub(r"\b\w+\b", lambda word: known.get(word[0], word[0]), kind) for kind in self.types]


@cache
def signatures():
    """Parse kernels.cu."""
    found = {}
    pattern = r"(?:template <([^>]*)>\s*)?__global__ void (\w+)\(([^)]*)\)"
    for template, kernel, parameters in re.findall(pattern, SOURCE.read_text()):
        types = [re.sub(r"\s*\b\w+$", "", " ".join(p.split())).strip() for p in parameters.split(",")]
        found[kernel] = Signature([part.split()[-1] for part in template.split(",") if part], types)
    return found


@cache
def instance_types(name):
    """Return the argument types of a name expression."""
    kernel, _, rest = name.partition("<")
    return signatures()[kernel].of([part.strip() for part in rest.rstrip(">").split(",")] if rest else [])


def check(name, types, arguments):
    """Refuse what a card would misread: another number of arguments, or of another type than the kernel has."""
    if len(types) != len(arguments):
        raise TypeError(f"{name}: {len(arguments)} arguments, wanted {len(types)}")
    for number, (kind, argument) in enumerate(zip(types, arguments, strict=True)):
        if kind.endswith("*"):
            base = kind.removeprefix("const ").rstrip("*")
            null = isinstance(argument, np.intp) and argument == 0
            right = null or (getattr(argument, "dtype", None) == POINTED[base] and hasattr(argument, "data"))
            right = right and (null or argument.flags.c_contiguous)
        else:
            right = type(argument) is SCALARS[kind]
        if not right:
            raise TypeError(f"{name}: argument {number} is {argument!r}, wanted {kind}")


def compiler():
    """Return g++, or None."""
    return shutil.which("g++")


class HostKernels:
    """The compiled instances."""

    def __init__(self, folder: Path):
        cases = []
        self._types = {name: instance_types(name) for name in instance_names()}
        self._number = {name: i for i, name in enumerate(self._types)}
        for name, i in self._number.items():
            given = ", ".join(f"*({kind}*)a[{at}]" for at, kind in enumerate(self._types[name]))
            cases.append(f"case {i}: return run_grid(shape, [&] {{ {name}({given}); }});")
        here = Path(__file__).parent
        code = f'#include "{here / "host_cuda.h"}"\n#include "{SOURCE}"\n'
        code += 'extern "C" int launch(int i, const int* shape, void** a) { switch (i) {\n' + "\n".join(cases) + "\n}\n"
        (folder / "host.cpp").write_text(code + "return 2; }\n")
        flags = [
            "-std=c++17",
            "-O1",
            "-fPIC",
            "-shared",
            "-w",
            "-U_FORTIFY_SOURCE",
        ]  # it takes jumps between stacks for faults
        subprocess.run([compiler(), *flags, "-o", folder / "host.so", folder / "host.cpp"], check=True)
        self._launch = ctypes.CDLL(str(folder / "host.so")).launch

    def __call__(self, name, grid, block, arguments, *, fibers=True):
        """Run an instance on a grid, on arguments that `check` has seen; without fibers a block is one thread."""
        (gx, gy), (bx, by) = ((*shape, 1)[:2] for shape in (grid, block))
        shape = (ctypes.c_int * 4)(gx, gy, *((bx, by) if fibers else (1, 1)))
        held = [np.array(a.ctypes.data if isinstance(a, np.ndarray) else a) for a in arguments]
        pointers = (ctypes.c_void_p * len(held))(*(a.ctypes.data for a in held))
        wrong = self._launch(self._number[name], shape, pointers)
        if wrong:
            raise RuntimeError(f"{name}: threads of a block came to different barriers")
