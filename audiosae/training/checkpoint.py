"""The state of a run: where it is, and how it is written down and taken up again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.tensors import read_tensors, write_tensors
from audiosae.errors import InputError
from audiosae.system.parameters import flag
from audiosae.training.history import History, Row
from audiosae.training.options import TrainOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audiosae.domain import Json

    Array = Any

FILE = "checkpoint.safetensors"
FORMAT = 1


@dataclass
class State:
    """Everything that a solver changes.

    Attributes
    ----------
    flat, best
        Parameters now, and at the lowest held-out cost.
    first, second
        Adam's moments.
    epoch, batch, step
        Epochs finished, batches of the present epoch finished, steps in all.
    sums
        Over the present epoch: windows, cost, reconstruction, sparsity (each times windows).
    activity
        Sum of rho_hat times windows over the present epoch, (hidden,).
    seconds
        Spent in training, over all sittings.
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
        """Return the state at the start."""
        return cls(flat, flat.copy(), np.zeros_like(flat), np.zeros_like(flat), np.zeros(hidden))

    def move(self, to: Callable[[Array], Array]) -> None:
        """Bring the parameters and moments to a device, or back."""
        for name in self._DEVICE:
            setattr(self, name, to(getattr(self, name)))

    def save(self, path: Path, identity: dict[str, Json], to_host: Callable[[Array], Array] = np.asarray) -> None:
        """Write the checkpoint; `to_host` brings arrays back from where they are."""
        history = self.history
        facts: dict[str, Json] = {name: getattr(self, name) for name in self._NUMBERS}
        kept = {
            "best": min(history.best, 1e300),
            "best_epoch": history.best_epoch,
            "epochs_without_improvement": history.epochs_without_improvement,
        }
        facts |= {"format": FORMAT, "identity": identity, "history": kept, "rows": [asdict(r) for r in history.rows]}
        write_tensors(path, {name: to_host(getattr(self, name)) for name in self._TENSORS}, facts)

    @classmethod
    def load(cls, path: Path, identity: dict[str, Json], *, changed: str = "files were added or removed") -> State:
        """Read a checkpoint of the same run; `changed` says in what the sources differ, if they do.

        Raises
        ------
        InputError
            It is damaged, or options, domain or sources are not the same; the first difference is named.
        """
        try:
            content = read_tensors(path)
        except InputError as error:
            raise InputError(f"{error}; train again without --resume: what was read is in the cache") from error
        tensors, facts = content.tensors, content.facts
        if facts.get("format") != FORMAT:
            raise InputError(f"{path} has format {facts.get('format')!r}, this audiosae reads {FORMAT}; resume with "
                             f"the version that began the run, or train again without --resume")  # fmt: skip
        _refuse_other(path, facts.get("identity"), identity, changed)
        try:
            kept: dict[str, Any] = {name: tensors[name] for name in cls._TENSORS}
            state = cls(**kept, **{name: facts[name] for name in cls._NUMBERS})
            rows = [Row(**row) for row in facts["rows"]]
            state.history = History(rows, **facts["history"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is damaged: {error}; train again without --resume") from error
        return state


def _refuse_other(path: Path, kept: Any, now: dict[str, Json], changed: str) -> None:  # noqa: ANN401
    """Compare the identities of two runs, key by key."""
    if not isinstance(kept, dict):
        raise InputError(f"{path} is damaged: it does not say what it belongs to; train again without --resume")
    general = TrainOptions().to_json()
    gone = sorted(key for key in kept if key not in now and not key.startswith("--"))
    if gone:
        raise InputError(f"--resume: the run began with {', '.join(map(flag, gone))}, which this version of audiosae "
                         f"does not have; resume with the one that began it, or train into another folder")  # fmt: skip
    for key, value in now.items():
        if key not in kept and key in general and value == general[key]:
            continue  # an option of later versions, as it always was
        if key not in kept or kept[key] != value:
            if key == "sources":
                raise InputError(
                    f"--resume: the sources are not those of the checkpoint ({changed}); train into another folder"
                )
            name = key if key.startswith("--") else flag(key)
            raise InputError(
                f"--resume: {name} was {kept.get(key)} and is {value} now; "
                f"give it as it was, or train into another folder"
            )
