"""Four sounds, ten clips of two classes, and a model, made at the first import: what examples in docstrings use.

>>> from audiosae.commands.example import classes, model, run, sounds

`sounds` and `classes` are folders in a temporary folder that is removed when Python ends, `run` is a run folder, and
`model` the model of six units in it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_RATE = 8000  # Hz
_PITCHES = {f"sounds/{n}.wav": 300 * (n + 1) for n in range(4)}  # Hz
_PITCHES |= {f"classes/{kind}/{n}.wav": pitch for kind, pitch in (("high", 2000), ("low", 400)) for n in range(5)}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (a path or a model)
    """Return one of the examples."""
    if name in {"classes", "model", "run", "sounds"}:
        return _examples()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _examples() -> dict[str, Any]:
    import atexit
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from audiosae.commands.train import train

    folder = TemporaryDirectory(prefix="audiosae-example-")
    atexit.register(folder.cleanup)
    root = Path(folder.name)
    _write_sounds(root)
    trained = train(root / "sounds", root / "run", hidden=6, epochs=5)
    return {"sounds": root / "sounds", "classes": root / "classes", "run": root / "run", "model": trained.model}


def _write_sounds(folder: Path) -> None:
    """Write decaying tones of half a second with faint noise."""
    import numpy as np
    import soundfile

    rng, time = np.random.default_rng(0), np.arange(_RATE // 2) / _RATE
    for name, pitch in _PITCHES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        tone = np.sin(2 * np.pi * pitch * time) * np.exp(-time / 0.1)
        soundfile.write(folder / name, 0.3 * tone + 0.01 * rng.normal(size=len(time)), _RATE)
