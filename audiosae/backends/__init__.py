"""Where the numbers are computed: NumPy everywhere, CuPy where there is a card."""

from __future__ import annotations

from importlib.util import find_spec

from audiosae.backends.cpu import Backend
from audiosae.errors import BackendError

__all__ = ["Backend", "choose", "why_not_cupy"]


def choose(name: str = "auto") -> tuple[Backend, str]:
    """Return a backend and one line that says why it is that one.

    Parameters
    ----------
    name
        ``auto``, ``numpy`` or ``cupy``.

    Raises
    ------
    BackendError
        The backend that was asked for is not to be had here, with the reason.
    """
    if name == "numpy":
        return Backend(), "numpy, as asked"
    if name not in ("auto", "cupy"):
        raise BackendError(f"--backend {name}: wanted auto, numpy or cupy")
    reason = why_not_cupy()
    if name == "cupy":
        raise BackendError(f"--backend cupy: {reason}; --backend numpy works here")
    return Backend(), f"numpy ({reason})"


def why_not_cupy() -> str:
    """Return the reason why the GPU is not used here."""
    if find_spec("cupy") is None:
        return "CuPy is not installed"
    import cupy

    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # noqa: BLE001 (the driver's own error types depend on what is missing)
        return " ".join(str(error).split(": ", 1)[-1].split())
    found = f"{count} CUDA device{'s' if count != 1 else ''} found" if count else "no CUDA device"
    return f"{found}, and this version has no GPU kernels yet" if count else found
