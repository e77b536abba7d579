"""Detection of a usable NVIDIA GPU; if there is none, the reason and what would help."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

_LEAST_FREE = 512 * 2**20  # bytes for the CUDA context, the kernels, a small model and its windows
_LEAST_CAPABILITY = (7, 0)  # the oldest compute capability for which the tests compile the kernels
_MIB, _GIB = 2**20, 2**30


@dataclass(frozen=True)
class GpuStatus:
    """Result of the GPU detection.

    Attributes
    ----------
    reason
        Why no GPU is used; empty if one can be used.
    advice
        What the user can do about it.
    description
        Name, compute capability and memory of the GPU.
    """

    reason: str = ""
    advice: str = ""
    description: str = ""


_NO_DEVICE = GpuStatus("no CUDA device", "nvidia-smi lists the GPUs; CUDA_VISIBLE_DEVICES may hide them")


def detect_gpu() -> GpuStatus:
    """Look for a usable GPU; CuPy is loaded if it is installed."""
    if find_spec("cupy") is None:
        return GpuStatus("CuPy is not installed", "with an NVIDIA GPU: pip install 'audiosae[cuda12]', or [cuda13]")
    try:
        import cupy
    except Exception as error:  # noqa: BLE001 (a broken installation can raise anything)
        return GpuStatus(f"CuPy cannot be imported: {_line(error)}", "reinstall it: pip install 'audiosae[cuda12]'")
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except Exception as error:  # noqa: BLE001 (the type of the driver's error depends on what is missing)
        return _driver_status(cupy, error)
    return _device_status(cupy) if count else _NO_DEVICE


def _driver_status(cupy: ModuleType, error: Exception) -> GpuStatus:
    """Distinguish a missing driver, a missing device, an outdated driver and a failing driver."""
    try:
        driver, needed = int(cupy.cuda.runtime.driverGetVersion()), int(cupy.cuda.runtime.runtimeGetVersion())
    except Exception:  # noqa: BLE001 (as above)
        driver, needed = -1, 0
    if driver == 0:
        return GpuStatus(
            "CuPy is installed, but there is no NVIDIA driver", "install NVIDIA's driver; nvidia-smi shows its version"
        )
    if "NoDevice" in str(error):
        return _NO_DEVICE
    if 0 < driver < needed:
        newest, wanted = (f"{number // 1000}.{number % 1000 // 10}" for number in (driver, needed))
        return GpuStatus(
            f"the NVIDIA driver is too old: it supports CUDA up to {newest}, CuPy needs {wanted}",
            "install a newer driver, or CuPy for an older CUDA (audiosae[cuda12])",
        )
    return GpuStatus(f"the NVIDIA driver does not respond: {_line(error)}", "run nvidia-smi to see what is wrong")


def _device_status(cupy: ModuleType) -> GpuStatus:
    """Check the first GPU: compute capability, free memory, whether kernels can be compiled for it."""
    try:
        facts = cupy.cuda.runtime.getDeviceProperties(0)
        capability = (int(facts["major"]), int(facts["minor"]))
        description = f"{facts['name'].decode()} (compute capability {capability[0]}.{capability[1]})"
        if capability < _LEAST_CAPABILITY:
            return GpuStatus(
                f"{description} is too old: wanted 7.0 or newer", "GPUs since 2017 (Volta or newer) are supported"
            )
        free, total = (int(size) for size in cupy.cuda.runtime.memGetInfo())
        if free < _LEAST_FREE:
            return GpuStatus(
                f"GPU out of memory: {free / _MIB:,.0f} of {total / _MIB:,.0f} MiB free, {_LEAST_FREE // _MIB} needed",
                "nvidia-smi lists the processes that use it",
            )
        from audiosae.backends.gpu_launch import kernels

        kernels(cupy).load("cost")
    except Exception as error:  # noqa: BLE001 (memory is full, the CUDA toolkit is missing, others use the GPU)
        if isinstance(error, MemoryError) or "MemoryAllocation" in str(error):
            return GpuStatus("GPU out of memory", "nvidia-smi lists the processes that use it")
        return GpuStatus(
            f"the GPU cannot be used: {_line(error)}", "pip install 'audiosae[cuda12]' installs CUDA's libraries"
        )
    return GpuStatus(description=f"{description}, {free / _GIB:.1f} of {total / _GIB:.1f} GiB free")


def _line(error: Exception) -> str:
    """Return an error's message in one line, without the CUDA error name before the first colon."""
    return " ".join((str(error) or type(error).__name__).split(": ", 1)[-1].split())[:160]
