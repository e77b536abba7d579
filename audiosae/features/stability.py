"""Stability of units: whether training with other seeds finds the same atoms; stored beside the model file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from audiosae.autoencoder.model import FILE
from audiosae.features.matching import ALIKE
from audiosae.system.files import check_replaceable, file_digest, has_facts, write_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.features.matching import Match

NAME = "stability.json"


@dataclass(frozen=True)
class UnitStability:
    """Cosines of a model's atoms with those of models that other seeds gave.

    Attributes
    ----------
    seeds
        Of the other models.
    cosine
        Of each unit with its partner (`audiosae.features.matching.match`), (seeds, hidden).
    """

    seeds: list[int]
    cosine: NDArray[np.float64]

    @classmethod
    def of(cls, seeds: Sequence[int], matches: Sequence[Match]) -> Self:
        """Return what matches of one model with those of other seeds come to."""
        return cls(list(seeds), np.array([match.cosine[np.argsort(match.first)] for match in matches]))

    @property
    def comes_back(self) -> NDArray[np.int64]:
        """In how many of the seeds each unit has a partner that shows the same: a cosine of 0.8 or more."""
        return np.asarray((self.cosine >= ALIKE).sum(axis=0))

    def description(self, unit: int) -> str:
        """Return in how many seeds a unit comes back, as text."""
        return f"in {self.comes_back[unit]} of {len(self.seeds)} seeds"

    def summary(self) -> str:
        """Return in words how many units come back in all of the seeds, in some and in none."""
        back, count = self.comes_back, len(self.seeds)
        every, none = int((back == count).sum()), int((back == 0).sum())
        some = f", {len(back) - every - none} in some" if count > 1 else ""
        seeds = "the other seed" if count == 1 else f"all of {count} other seeds"
        return (f"of {len(back)} units {every} come back in {seeds}{some}, {none} in none "
                f"(cosine {ALIKE:g} or more; median {np.median(self.cosine):.2f})")  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return all of it; lists of a number, or of one a seed, for each unit in turn."""
        return {
            "seeds": self.seeds, "alike_from": ALIKE, "alike": float((self.cosine >= ALIKE).mean()),
            "cosine_median": float(np.median(self.cosine)), "comes_back": self.comes_back.tolist(),
            "cosine": self.cosine.T.round(6).tolist(),
        }  # fmt: skip


def path_of(model: Path) -> Path:
    """Return the path of a model's stability file: in the run folder, or beside the model file."""
    return (model if model.is_dir() else model.parent) / NAME


def check_path(model: Path) -> None:
    """Refuse to replace a stability file that audiosae did not write; raises InputError."""
    path = path_of(model)
    check_replaceable(path, [], own=has_facts(path, "model_digest", "seeds", "cosine"))


def write(model: Path, stability: UnitStability) -> None:
    """Write it beside a model, a run folder or a file, with the digest of the file that it is of."""
    facts = {"model_digest": _digest(model), **stability.to_json()}
    write_file(path_of(model), (json.dumps(facts, indent=1) + "\n").encode())


def read(model: Path) -> UnitStability | None:
    """Return the stability of a model, a run folder or a file; None where it was not measured, or of another model."""
    path = path_of(model)
    if not has_facts(path, "model_digest", "seeds", "cosine"):
        return None
    facts = json.loads(path.read_bytes())
    if facts["model_digest"] != _digest(model):
        return None
    return UnitStability(facts["seeds"], np.array(facts["cosine"]).T)


def _digest(model: Path) -> str:
    return file_digest(model / FILE if model.is_dir() else model)
