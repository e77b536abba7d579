"""Backends: array operations in NumPy, or in CUDA kernels through CuPy on an NVIDIA GPU."""

from __future__ import annotations

from audiosae.backends.cpu import Backend
from audiosae.backends.gpu_status import GpuStatus, detect_gpu
from audiosae.errors import BackendError

__all__ = ["Backend", "GpuStatus", "choose", "detect_gpu", "usable"]


def choose(name: str = "auto", *, tf32: bool = False) -> tuple[Backend, str]:
    """Return a backend, and one line with its name and the reason for the choice.

    Parameters
    ----------
    name
        ``auto``, ``numpy`` or ``cupy``.
    tf32
        GPU only: round the factors of matrix products to TF32. Faster, and the results differ slightly.

    Raises
    ------
    BackendError
        The name is unknown, or the requested backend is not available; the message gives the reason.
    """
    if name not in ("auto", "cupy", "numpy"):
        raise BackendError(f"--backend {name}: wanted auto, numpy or cupy")
    if name == "numpy":
        return Backend(), "numpy, as requested"
    gpu = detect_gpu()
    if not gpu.reason:
        from audiosae.backends.gpu import GpuBackend

        return GpuBackend(tf32=tf32), f"cupy: {gpu.description}{', TF32' if tf32 else ''}"
    if name == "cupy":
        raise BackendError(f"--backend cupy: {gpu.reason} ({gpu.advice}); or use --backend numpy")
    return Backend(), f"numpy ({gpu.reason})"


def usable() -> list[Backend]:
    """Return every backend that is available on this machine."""
    return [Backend(), *([] if detect_gpu().reason else [choose("cupy")[0]])]
