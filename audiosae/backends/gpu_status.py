"""Detection of a usable NVIDIA GPU; if there is none, why and what would help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_LEAST_FREE = 512 * 2**20  # CUDA's own context and kernels, a small model and its windows
_LEAST_CAPABILITY = (7, 0)  # the oldest that the kernels are compiled for in the tests
_MIB, _GIB = 2**20, 2**30


@dataclass(frozen=True)
class GpuStatus:
    """What was found.

    Attributes
    ----------
    reason
        Why no card is used, empty where one can be.
    advice
        What would help.
    description
        The card, in words.
    """

    reason: str = ""
    advice: str = ""
    description: str = ""


def detect_gpu() -> GpuStatus:
    """Look for a GPU through CuPy, which is installed."""
    try:
        import cupy
    except Exception as error:  # noqa: BLE001 (whatever a broken installation raises)
        return GpuStatus(f"CuPy cannot be imported: {_line(error)}", "install it again: pip install 'audiosae[cuda12]'")
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except Exception as error:  # noqa: BLE001 (the driver's own error types depend on what is missing)
        return _without_driver(cupy, error)
    return _usable(cupy) if count else _no_device()


def _without_driver(cupy: Any, error: Exception) -> GpuStatus:  # noqa: ANN401
    """Distinguish a missing driver from one that is too old."""
    try:
        driver, needed = int(cupy.cuda.runtime.driverGetVersion()), int(cupy.cuda.runtime.runtimeGetVersion())
    except Exception:  # noqa: BLE001
        driver, needed = -1, 0
    if driver == 0:
        return GpuStatus(
            "CuPy is installed, but there is no NVIDIA driver", "install NVIDIA's driver; nvidia-smi shows it"
        )
    if "NoDevice" in str(error):
        return _no_device()
    if 0 < driver < needed:
        told = f"the NVIDIA driver is too old: it reaches to CUDA {_version(driver)}, CuPy needs {_version(needed)}"
        return GpuStatus(told, "install a newer driver, or CuPy for an older CUDA (audiosae[cuda12])")
    return GpuStatus(f"the NVIDIA driver does not answer: {_line(error)}", "nvidia-smi shows what is wrong")


def _no_device() -> GpuStatus:
    return GpuStatus("no CUDA device", "nvidia-smi shows the cards; CUDA_VISIBLE_DEVICES may hide them")


def _usable(cupy: Any) -> GpuStatus:  # noqa: ANN401
    """Check the first GPU: compute capability, free memory, whether kernels can be compiled for it."""
    try:
        facts = cupy.cuda.runtime.getDeviceProperties(0)
        capability = (int(facts["major"]), int(facts["minor"]))
        told = f"{facts['name'].decode()} (compute capability {capability[0]}.{capability[1]})"
        if capability < _LEAST_CAPABILITY:
            return GpuStatus(f"{told} is too old: wanted 7.0 or newer", "cards since 2017 (Volta) will do")
        free, total = (int(size) for size in cupy.cuda.runtime.memGetInfo())
        if free < _LEAST_FREE:
            held = f"{free / _MIB:,.0f} of {total / _MIB:,.0f} MiB free, {_LEAST_FREE / _MIB:.0f} needed"
            return GpuStatus(f"GPU out of memory: {held}", "nvidia-smi lists the processes")
        from audiosae.backends.gpu_launch import kernels

        kernels(cupy).load("cost")
    except Exception as error:  # noqa: BLE001 (a full device, a toolkit that is not there, a card in use by others)
        full = isinstance(error, MemoryError) or "MemoryAllocation" in str(error)
        if full:
            return GpuStatus("GPU out of memory", "nvidia-smi lists the processes")
        return GpuStatus(
            f"the card cannot be used: {_line(error)}", "pip install 'audiosae[cuda12]' brings CUDA's libraries"
        )
    return GpuStatus(description=f"{told}, {free / _GIB:.1f} of {total / _GIB:.1f} GiB free")


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _line(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split(": ", 1)[-1].split())[:160]
