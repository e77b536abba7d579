"""``audiosae doctor``: versions and devices of this installation."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

import numpy as np

from audiosae.backends import choose, detect_gpu
from audiosae.commands.answer import Answer
from audiosae.corpus.cache import cache_folder
from audiosae.system.frames import text_table
from audiosae.system.parameters import command
from audiosae.system.processes import worker_count

_PACKAGES = "audiosae numpy scipy jinja2 librosa soundfile soxr matplotlib pillow safetensors typer pyarrow distributed"


@command(example="audiosae doctor")
def doctor() -> Answer:
    """Show versions, compute device, and what is missing.

    Returns
    -------
    Answer
    """
    gpu = detect_gpu()
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: _version(name) for name in _PACKAGES.split()},
        # the distribution of CuPy has another name for each CUDA version
        "cupy": next((f"{version(name)} ({name})" for name in packages_distributions().get("cupy", [])), None),
        "libsndfile": _sndfile(),
        "blas": _blas(),
        "cores": worker_count(),
        "cache": str(cache_folder()),
        "gpu": gpu.description or f"{gpu.reason} ({gpu.advice})",
        "backend": choose("auto")[1],
    }
    return Answer(text_table([(key, str(value)) for key, value in facts.items() if value is not None]), facts)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _sndfile() -> str:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        return f"not usable: {error}"
    return str(soundfile.__libsndfile_version__)


def _blas() -> str:
    config: Any = np.show_config(mode="dicts")
    blas = config.get("Build Dependencies", {}).get("blas", {}) if isinstance(config, dict) else {}
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()
