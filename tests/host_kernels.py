"""kernels.cu compiled for the host by g++, to test arithmetic, grids and argument types without a GPU."""

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
    """Template parameters and argument types of a kernel in kernels.cu."""

    template: list[str]
    types: list[str]

    def of(self, arguments):
        """Return the argument types of an instance."""
        values = dict(zip(self.template, arguments, strict=True))
        return [re.sub(r"\b\w+\b", lambda word: values.get(word[0], word[0]), kind) for kind in self.types]


@cache
def signatures():
    """Return the signatures of the kernels in kernels.cu, by their names."""
    kernels = {}
    pattern = r"(?:template <([^>]*)>\s*)?__global__ void (\w+)\(([^)]*)\)"
    for template, kernel, parameters in re.findall(pattern, SOURCE.read_text()):
        types = [re.sub(r"\s*\b\w+$", "", " ".join(p.split())).strip() for p in parameters.split(",")]
        kernels[kernel] = Signature([part.split()[-1] for part in template.split(",") if part], types)
    return kernels


@cache
def instance_types(name):
    """Return the argument types of a name expression."""
    kernel, _, rest = name.partition("<")
    return signatures()[kernel].of([part.strip() for part in rest.rstrip(">").split(",")] if rest else [])


def check(name, types, arguments):
    """Raise TypeError if the number or the types of the arguments differ from those of the kernel."""
    if len(types) != len(arguments):
        raise TypeError(f"{name}: {len(arguments)} arguments, wanted {len(types)}")
    for number, (kind, argument) in enumerate(zip(types, arguments, strict=True)):
        if kind.endswith("*"):
            base = kind.removeprefix("const ").rstrip("*")
            null = isinstance(argument, np.intp) and argument == 0
            valid = null or (getattr(argument, "dtype", None) == POINTED[base] and hasattr(argument, "data"))
            valid = valid and (null or argument.flags.c_contiguous)
        else:
            valid = type(argument) is SCALARS[kind]
        if not valid:
            raise TypeError(f"{name}: argument {number} is {argument!r}, wanted {kind}")


def compiler():
    """Return the path of g++, or None."""
    return shutil.which("g++")


class HostKernels:
    """The compiled instances."""

    def __init__(self, folder: Path):
        cases = []
        self._types = {name: instance_types(name) for name in instance_names()}
        self._number = {name: i for i, name in enumerate(self._types)}
        for name, i in self._number.items():
            values = ", ".join(f"*({kind}*)a[{at}]" for at, kind in enumerate(self._types[name]))
            cases.append(f"case {i}: return run_grid(shape, [&] {{ {name}({values}); }});")
        header = Path(__file__).with_name("host_cuda.h")
        code = f'#include "{header}"\n#include "{SOURCE}"\n'
        code += 'extern "C" int launch(int i, const int* shape, void** a) { switch (i) {\n' + "\n".join(cases) + "\n}\n"
        (folder / "host.cpp").write_text(code + "return 2; }\n")
        flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-w", "-U_FORTIFY_SOURCE"]  # fortify rejects stack switches
        subprocess.run([compiler(), *flags, "-o", folder / "host.so", folder / "host.cpp"], check=True)
        self._launch = ctypes.CDLL(str(folder / "host.so")).launch

    def __call__(self, name, grid, block, arguments, *, fibers=True):
        """Run an instance on a grid, with arguments that `check` accepts; without fibers a block is one thread."""
        (gx, gy), (bx, by) = ((*shape, 1)[:2] for shape in (grid, block))
        shape = (ctypes.c_int * 4)(gx, gy, *((bx, by) if fibers else (1, 1)))
        values = [np.array(a.ctypes.data if isinstance(a, np.ndarray) else a) for a in arguments]
        pointers = (ctypes.c_void_p * len(values))(*(a.ctypes.data for a in values))
        status = self._launch(self._number[name], shape, pointers)
        if status:
            raise RuntimeError(f"{name}: threads of a block reached different barriers")
