"""Checkpoints: the state of a training run, saved to a file and loaded to resume."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.tensors import read_tensors, write_tensors
from audiosae.errors import InputError
from audiosae.system.parameters import flag
from audiosae.system.schema import (
    Items,
    Mismatch,
    Number,
    Object,
    Scalar,
    Tensor,
    Whole,
    check_tensors,
    reading_file,
    shown,
)
from audiosae.system.text import one_line
from audiosae.training.history import History, Row
from audiosae.training.options import TrainOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from audiosae.domain import Json

    Array = Any

FILE = "checkpoint.safetensors"
FILES = (FILE, "checkpoint-2.safetensors")  # the second for a second length of windows
FORMAT = 1
_ADVICE = "train again without --resume (decoded sources are in the cache)"
_DRAWN = ("max_windows", "sample", "seed")
_COUNTS = ("step", "epoch", "windows", "dead")
_ROW = Object({f.name: Whole() if f.name in _COUNTS else Number(nan=f.name == "fvu") for f in fields(Row)}, rest=None)
_FACTS = Object(
    {
        "format": Whole(FORMAT, FORMAT),
        "identity": Object(rest=Scalar()),
        "rows": Items(_ROW),
        "history": Object({"best": Number(), "best_epoch": Whole(), "epochs_without_improvement": Whole()}, rest=None),
        "epoch": Whole(),
        "batch": Whole(),
        "step": Whole(),
        "sums": Items(Number(), 4),
        "seconds": Number(least=0),
    }
)
_TENSORS = {
    **dict.fromkeys(("flat", "best", "first"), Tensor(("parameters",))),
    "second": Tensor(("parameters",), least=0),
    "activity": Tensor(("units",)),
}


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
            raise InputError(f"{error}; {_ADVICE}") from error
        facts = content.facts
        if facts.get("format") != FORMAT:
            raise InputError(
                f"{path} has format {shown(facts.get('format'))}, this version of audiosae reads {FORMAT}; resume with "
                f"the version that began the run, or train again without --resume"
            )
        with reading_file(path, _ADVICE):
            _FACTS.check(facts)
            check_tensors(content.tensors, _TENSORS)
            if len({content.tensors[name].dtype for name in cls._DEVICE}) > 1:
                raise Mismatch("flat, best, first, second", "one type of numbers", "several")
            if facts["batch"] and not facts["sums"][0] > 0:
                raise Mismatch("sums", f"the windows of {facts['batch']} batches", "none")
            if (best := facts["history"]["best_epoch"]) not in ({row["epoch"] for row in facts["rows"]} or {0}):
                raise Mismatch("best_epoch", "an epoch in rows", str(best))
        _check_identity(facts["identity"], identity, changed, defaults)
        values = {name: content.tensors[name] for name in cls._TENSORS} | {name: facts[name] for name in cls._NUMBERS}
        return cls(**values, history=History([Row(**row) for row in facts["rows"]], **facts["history"]))


def check_resumed(path: Path, options: TrainOptions) -> None:
    """Raise InputError if a run with these options cannot resume from a checkpoint, before any source is read.

    Only options are compared that determine which windows are read, and that nothing else changes. A checkpoint that
    cannot be read is reported by `State.load`.
    """
    wanted = {name: value for name, value in options.to_json().items() if name in _DRAWN}
    try:
        stored = read_tensors(path).facts["identity"]
        before = {name: stored[name] for name in _DRAWN}
    except (InputError, KeyError, TypeError):
        return
    _check_identity(before, wanted, "", {})


def _check_identity(
    stored: dict[str, Json], identity: dict[str, Json], changed: str, defaults: Mapping[str, Json]
) -> None:
    """Raise InputError if the identity of a checkpoint is not that of this run."""
    unknown = sorted(key for key in stored if key not in identity and not key.startswith("--"))
    if unknown:
        raise InputError(
            f"--resume: the run began with {', '.join(map(flag, unknown))}, which this version of audiosae does not "
            f"have; resume with the version that began it, or train into another folder"
        )
    # an earlier version lacks newer options: it used their defaults
    stored = TrainOptions().to_json() | {**defaults} | stored
    for key, value in identity.items():
        if key not in stored or stored[key] != value or isinstance(stored[key], bool) != isinstance(value, bool):
            if key == "sources":
                raise InputError(
                    f"--resume: the sources are not those of the checkpoint ({changed}); train into another folder"
                )
            before = one_line(str(stored.get(key)))[:60]  # the checkpoint may be anyone's
            raise InputError(
                f"--resume: {key if key.startswith('--') else flag(key)} was {before} and is {value} now; "
                f"give the earlier value, or train into another folder"
            )
