"""Which atoms of two models are alike: pairs one to one, as similar as they can be made together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model

ALIKE = 0.8  # cosine from which two atoms show the same thing


@dataclass(frozen=True)
class Match:
    """Units of two models, paired.

    Attributes
    ----------
    first, second
        Unit numbers, the most similar pair first; as many as the smaller model has.
    cosine
        Of their atoms in field space.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    cosine: NDArray[np.float64]

    def to_json(self) -> dict[str, Any]:
        """Return what a reader wants to know of all pairs together."""
        return {
            "pairs": len(self.cosine),
            "cosine_mean": float(self.cosine.mean()),
            "cosine_median": float(np.median(self.cosine)),
            "alike": float((self.cosine >= ALIKE).mean()),
            "alike_from": ALIKE,
        }


def match(a: Model, b: Model) -> Match:
    """Pair units so that the sum of cosines is largest (Kuhn 1955, by SciPy); InputError: other shapes of windows."""
    from scipy.optimize import linear_sum_assignment

    if a.domain.window != b.domain.window:
        raise InputError(f"windows of {a.domain.window} and {b.domain.window} cannot be compared")
    cosines = atom_cosines(a, b)
    rows, columns = linear_sum_assignment(cosines, maximize=True)
    order = np.argsort(-cosines[rows, columns], kind="stable")
    return Match(rows[order], columns[order], cosines[rows, columns][order])


@one_blas_thread()
def atom_cosines(a: Model, b: Model) -> NDArray[np.float64]:
    """Return the cosines of the atoms of two models in field space, (hidden of a, hidden of b)."""
    return _unit(a.atoms()) @ _unit(b.atoms()).T


def redundant(model: Model, *, above: float = 0.95) -> int:
    """Return how many units have an atom that another unit has too, with a cosine of at least `above`."""
    cosines = atom_cosines(model, model)
    np.fill_diagonal(cosines, -1)
    return int((cosines.max(axis=1) >= above).sum()) if len(cosines) > 1 else 0


def _unit(atoms: NDArray[np.float32]) -> NDArray[np.float64]:
    rows = atoms.reshape(len(atoms), -1).astype(np.float64)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300))
