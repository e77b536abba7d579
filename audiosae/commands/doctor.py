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


@command(example="audiosae doctor")
def doctor() -> Answer:
    """Show versions, compute device, and what is missing.

    Returns
    -------
    Answer
    """
    facts: dict[str, Any] = {"python": platform.python_version(), "platform": platform.platform()}
    packages = (
        "audiosae",
        "numpy",
        "scipy",
        "jinja2",
        "librosa",
        "soundfile",
        "soxr",
        "matplotlib",
        "pillow",
        "safetensors",
        "typer",
        "pyarrow",
        "distributed",
    )
    for name in packages:
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            facts[name] = "not installed"
    facts["cupy"] = _cupy()
    facts["libsndfile"] = _sndfile()
    facts["blas"] = _blas()
    facts["cores"] = worker_count()
    facts["cache"] = str(cache_folder())
    gpu = detect_gpu()
    facts["gpu"] = gpu.description or f"{gpu.reason} ({gpu.advice})"
    facts["backend"] = choose("auto")[1]
    rows = [(key, str(value)) for key, value in facts.items() if value is not None]
    return Answer(text_table(rows), facts)


def _cupy() -> str | None:
    """Return CuPy's version; its distribution has another name for each CUDA."""
    return next((f"{version(name)} ({name})" for name in packages_distributions().get("cupy", [])), None)


def _sndfile() -> str:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        return f"not usable: {error}"
    return str(soundfile.__libsndfile_version__)


def _blas() -> str:
    found: Any = np.show_config(mode="dicts")
    blas = found.get("Build Dependencies", {}).get("blas", {}) if isinstance(found, dict) else {}
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()
