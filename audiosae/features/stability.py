"""Stability of units: whether training with other seeds finds the same atoms; stored next to the model file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from audiosae.autoencoder.model import FILE
from audiosae.errors import InputError
from audiosae.features.matching import ALIKE
from audiosae.system.files import check_replaceable, file_digest, has_facts, write_file
from audiosae.system.schema import FactsFile, Items, Number, Object, Text, Whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.features.matching import Match

NAME = "stability.json"
_ADVICE = "remove it, and run evaluate --stability again"
_FILE = FactsFile(
    ("model_digest",),
    Object(
        {
            "model_digest": Text(),
            "seeds": Items(Whole()),
            "cosine": Items(Items(Number(-2, 2))),  # rounding may exceed 1
        }
    ),
    _ADVICE,
)


@dataclass(frozen=True)
class UnitStability:
    """Cosines between the atoms of a model and those of models trained with other seeds.

    Attributes
    ----------
    seeds
        Seeds of the other models.
    cosine
        Cosine of each unit's atom with that of its partner (`audiosae.features.matching.match`), (seeds, hidden).
    """

    seeds: list[int]
    cosine: NDArray[np.float64]

    @classmethod
    def of(cls, seeds: Sequence[int], matches: Sequence[Match]) -> Self:
        """Return the stability summary of a model matched against models trained with other seeds."""
        return cls(list(seeds), np.array([match.cosine[np.argsort(match.first)] for match in matches]))

    @property
    def comes_back(self) -> NDArray[np.int64]:
        """Number of seeds for which each unit has a partner with a cosine of at least 0.8, (hidden,)."""
        return np.asarray((self.cosine >= ALIKE).sum(axis=0))

    def description(self, unit: int) -> str:
        """Return in how many seeds a unit reappears, as text."""
        return f"in {self.comes_back[unit]} of {len(self.seeds)} seeds"

    def summary(self) -> str:
        """Return how many units reappear in all, some and none of the seeds, as text."""
        back, count = self.comes_back, len(self.seeds)
        every, none = int((back == count).sum()), int((back == 0).sum())
        some = f", {len(back) - every - none} in some" if count > 1 else ""
        seeds = "the other seed" if count == 1 else f"all of {count} other seeds"
        return (
            f"of {len(back)} units {every} come back in {seeds}{some}, {none} in none "
            f"(cosine {ALIKE:g} or more; median {np.median(self.cosine):.2f})"
        )

    def to_json(self) -> dict[str, Any]:
        """Return all values as JSON; `comes_back` and `cosine` have one element per unit."""
        return {
            "seeds": self.seeds,
            "alike_from": ALIKE,
            "alike": float((self.cosine >= ALIKE).mean()),
            "cosine_median": float(np.median(self.cosine)),
            "comes_back": self.comes_back.tolist(),
            "cosine": self.cosine.T.round(6).tolist(),
        }


def path_of(model: Path) -> Path:
    """Return the path of a model's stability file: in the run folder, or in the folder of the model file."""
    return (model if model.is_dir() else model.parent) / NAME


def check_path(model: Path) -> None:
    """Raise InputError if the stability file of a model exists and audiosae did not write it."""
    path = path_of(model)
    check_replaceable(path, [], own=has_facts(path, *_FILE.marks))


def write(model: Path, stability: UnitStability) -> None:
    """Write the stability of a model, given as a run folder or a file, with the digest of the model file."""
    text = json.dumps({"model_digest": _digest(model), **stability.to_json()}, indent=1)
    write_file(path_of(model), f"{text}\n".encode())


def read(model: Path, units: int | None = None) -> UnitStability | None:
    """Return the stability of a model, given as a run folder or a file; None if there is none for this model.

    Parameters
    ----------
    units
        Number of units of the model; None if it is not known.

    Raises
    ------
    InputError
        The file is damaged.
    """
    path = path_of(model)
    facts = _FILE.read(path)
    if facts is None or facts["model_digest"] != _digest(model):
        return None
    seeds, rows = len(facts["seeds"]), facts["cosine"]
    if not seeds or units not in {None, len(rows)} or any(len(row) != seeds for row in rows) or not rows:
        raise InputError(
            f"{path} is damaged: wanted the cosines of {units or 'all'} units with {seeds} models, found "
            f"{len(rows)} rows; {_ADVICE}"
        )
    return UnitStability(facts["seeds"], np.array(rows, np.float64).T)


def _digest(model: Path) -> str:
    return file_digest(model / FILE if model.is_dir() else model)
