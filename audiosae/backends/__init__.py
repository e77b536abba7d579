"""Backends: array operations in NumPy, or in CUDA kernels through CuPy where there is an NVIDIA GPU."""

from __future__ import annotations

from importlib.util import find_spec

from audiosae.backends import gpu_status
from audiosae.backends.cpu import Backend
from audiosae.backends.gpu_status import GpuStatus
from audiosae.errors import BackendError

__all__ = ["Backend", "GpuStatus", "choose", "detect_gpu", "usable"]


def choose(name: str = "auto", *, tf32: bool = False) -> tuple[Backend, str]:
    """Return a backend and one line that says why it is that one.

    Parameters
    ----------
    name
        ``auto``, ``numpy`` or ``cupy``.
    tf32
        On a card, round the factors of matrix products to TF32: faster, and the numbers differ.

    Raises
    ------
    BackendError
        The backend that was asked for is not to be had here, with the reason.
    """
    if name not in ("auto", "cupy", "numpy"):
        raise BackendError(f"--backend {name}: wanted auto, numpy or cupy")
    if name == "numpy":
        return Backend(), "numpy, as asked"
    found = detect_gpu()
    if not found.reason:
        from audiosae.backends.gpu import GpuBackend

        return GpuBackend(tf32=tf32), f"cupy: {found.description}{', TF32' if tf32 else ''}"
    if name == "cupy":
        raise BackendError(f"--backend cupy: {found.reason}; --backend numpy works here")
    return Backend(), f"numpy ({found.reason})"


def detect_gpu() -> GpuStatus:
    """Return the GPU that can be used, or why there is none; CuPy is loaded where it is installed."""
    if find_spec("cupy") is None:
        return GpuStatus("CuPy is not installed", "with an NVIDIA card: pip install 'audiosae[cuda12]', or [cuda13]")
    return gpu_status.detect_gpu()


def usable() -> list[Backend]:
    """Return every backend that can be used here."""
    return [Backend(), *([] if detect_gpu().reason else [choose("cupy")[0]])]
