"""audiosae gradcheck, doctor: whether this installation is right."""

from __future__ import annotations

from typing import Any

from audiosae.cli.console import Console, table


def gradcheck(console: Console) -> int:
    """Check the gradient against differences of the cost, for every form of the autoencoder, on every backend."""
    from audiosae.autoencoder.gradcheck import SHARD_TOLERANCE, TOLERANCE, check_gradients
    from audiosae.backends import detect_gpu, usable

    checks: list[dict[str, Any]] = [check for backend in usable() for check in check_gradients(backend)]
    rows = [("backend", "units", "output", "beta", "decay", "error", "shards", "")]
    for check in checks:
        check["passed"] = check["error"] <= TOLERANCE and check["shards"] <= SHARD_TOLERANCE
        rows.append((
            check["backend"], check["activation"], check["decoder"], f"{check['beta']:g}", f"{check['weight_decay']:g}",
            f"{check['error']:.1e}", f"{check['shards']:.1e}", "ok" if check["passed"] else "WRONG",
        ))  # fmt: skip
    missing = detect_gpu().reason
    passed = all(check["passed"] for check in checks)
    verdict = "every gradient is right" if passed else "a gradient is wrong"
    told = f"{table(rows)}\n{verdict} (float64; error at most {TOLERANCE:g}, shards at most {SHARD_TOLERANCE:g})"
    told += f"\nnot checked: cupy ({missing})" if missing else ""
    console.result(told, {"passed": passed, "checks": checks, "without_cupy": missing})
    return 0 if passed else 1


def doctor(console: Console) -> None:
    """Say which versions are here, what computes, and what cannot be used and why."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from audiosae.backends import choose, detect_gpu
    from audiosae.corpus.cache import cache_folder
    from audiosae.system.processes import worker_count

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
    card = detect_gpu()
    facts["gpu"] = card.description or f"{card.reason} ({card.advice})"
    facts["backend"] = choose("auto")[1]
    rows = [(key, str(value)) for key, value in facts.items() if value is not None]
    console.result(table(rows), facts)


def _cupy() -> str | None:
    """Return CuPy's version; its distribution has another name for each CUDA."""
    from importlib.metadata import packages_distributions, version

    return next((f"{version(name)} ({name})" for name in packages_distributions().get("cupy", [])), None)


def _sndfile() -> str:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        return f"not usable: {error}"
    return str(soundfile.__libsndfile_version__)


def _blas() -> str:
    import numpy as np

    found: Any = np.show_config(mode="dicts")
    blas = found.get("Build Dependencies", {}).get("blas", {}) if isinstance(found, dict) else {}
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()
