"""Checkpoints: the state of a training run, saved to a file and loaded to resume."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.tensors import read_tensors, write_tensors
from audiosae.errors import InputError
from audiosae.system.parameters import flag
from audiosae.training.history import History, Row
from audiosae.training.options import TrainOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from audiosae.domain import Json

    Array = Any

FILE = "checkpoint.safetensors"
FORMAT = 1


@dataclass
class State:
    """State of a training run: everything that a solver changes.

    Attributes
    ----------
    flat, best
        Current parameters, and those with the lowest held-out cost, (n_parameters,).
    first, second
        Adam's moments, (n_parameters,).
    epoch, batch, step
        Number of finished epochs, of finished batches of the current epoch, and of all steps.
    sums
        Over the current epoch: windows, and the sums over windows of cost, reconstruction and sparsity.
    activity
        Sum over the windows of the current epoch of the activity of each unit, (hidden,).
    seconds
        Training time, including the time before each resume.
    """

    flat: Array
    best: Array
    first: Array
    second: Array
    activity: Array
    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0, 0.0])
    seconds: float = 0.0
    history: History = field(default_factory=History)

    _DEVICE = ("flat", "best", "first", "second")
    _TENSORS = (*_DEVICE, "activity")
    _NUMBERS = ("epoch", "batch", "step", "sums", "seconds")

    @classmethod
    def fresh(cls, flat: Array, hidden: int) -> State:
        """Return the state at the start of a run."""
        return cls(flat, flat.copy(), np.zeros_like(flat), np.zeros_like(flat), np.zeros(hidden))

    def move(self, to: Callable[[Array], Array]) -> None:
        """Move the parameters and moments to a device or to host memory."""
        for name in self._DEVICE:
            setattr(self, name, to(getattr(self, name)))

    def save(self, path: Path, identity: dict[str, Json], to_host: Callable[[Array], Array] = np.asarray) -> None:
        """Write the checkpoint; `to_host` copies arrays to host memory."""
        history = asdict(self.history)
        facts: dict[str, Json] = {name: getattr(self, name) for name in self._NUMBERS}
        facts |= {"format": FORMAT, "identity": identity, "rows": history.pop("rows")}
        facts["history"] = history | {"best": min(self.history.best, 1e300)}  # JSON has no infinity
        write_tensors(path, {name: to_host(getattr(self, name)) for name in self._TENSORS}, facts)

    @classmethod
    def load(
        cls,
        path: Path,
        identity: dict[str, Json],
        *,
        changed: str = "files were added or removed",
        defaults: Mapping[str, Json] = MappingProxyType({}),
    ) -> State:
        """Read a checkpoint of the same run.

        Parameters
        ----------
        identity
            Options, domain and sources, which must be the same as in the checkpoint.
        changed
            How the sources differ, for the error message.
        defaults
            Parts of the identity that a checkpoint of an earlier version may lack, as it used them.

        Raises
        ------
        InputError
            The checkpoint is damaged or is of another run; the message names the first difference.
        """
        try:
            content = read_tensors(path)
        except InputError as error:
            raise InputError(f"{error}; train again without --resume (decoded sources are in the cache)") from error
        facts = content.facts
        if facts.get("format") != FORMAT:
            raise InputError(
                f"{path} has format {facts.get('format')!r}, this version of audiosae reads {FORMAT}; resume with the "
                f"version that began the run, or train again without --resume"
            )
        _check_identity(path, facts.get("identity"), identity, changed, defaults)
        try:
            values = {name: content.tensors[name] for name in cls._TENSORS} | {
                name: facts[name] for name in cls._NUMBERS
            }
            return cls(**values, history=History([Row(**row) for row in facts["rows"]], **facts["history"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is damaged: {error}; train again without --resume") from error


def _check_identity(
    path: Path, stored: object, identity: dict[str, Json], changed: str, defaults: Mapping[str, Json]
) -> None:
    """Raise InputError if the identity of a checkpoint is not that of this run."""
    if not isinstance(stored, dict):
        raise InputError(f"{path} is damaged: it does not identify its run; train again without --resume")
    unknown = sorted(key for key in stored if key not in identity and not key.startswith("--"))
    if unknown:
        raise InputError(
            f"--resume: the run began with {', '.join(map(flag, unknown))}, which this version of audiosae does not "
            f"have; resume with the version that began it, or train into another folder"
        )
    # an earlier version lacks newer options: it used their defaults
    stored = TrainOptions().to_json() | {**defaults} | stored
    for key, value in identity.items():
        if key not in stored or stored[key] != value:
            if key == "sources":
                raise InputError(
                    f"--resume: the sources are not those of the checkpoint ({changed}); train into another folder"
                )
            raise InputError(
                f"--resume: {key if key.startswith('--') else flag(key)} was {stored.get(key)} and is {value} now; "
                f"give the earlier value, or train into another folder"
            )
