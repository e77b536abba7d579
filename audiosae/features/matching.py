"""Matching of the atoms of two models: one-to-one pairs with the largest total similarity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model

ALIKE = 0.8  # least cosine of two atoms that are alike


@dataclass(frozen=True)
class Match:
    """Pairs of units of two models, the most similar pair first.

    Attributes
    ----------
    first, second
        Numbers of the units in the first and in the second model; as many as the smaller model has.
    cosine
        Cosine of the atoms of each pair in field space.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    cosine: NDArray[np.float64]

    def to_json(self) -> dict[str, Any]:
        """Return a summary of the pairs."""
        return {
            "pairs": len(self.cosine),
            "cosine_mean": float(self.cosine.mean()),
            "cosine_median": float(np.median(self.cosine)),
            "alike": float((self.cosine >= ALIKE).mean()),
            "alike_from": ALIKE,
        }


def match(a: Model, b: Model) -> Match:
    """Pair the units of two models so that the sum of the cosines is as large as possible (Kuhn 1955, by SciPy).

    Raises
    ------
    InputError
        The windows of the models have different shapes.
    """
    from scipy.optimize import linear_sum_assignment

    if a.domain.window != b.domain.window:
        raise InputError(
            f"models with windows of {a.domain.window} and {b.domain.window} cannot be compared; wanted the same shape"
        )
    cosines = atom_cosines(a, b)
    rows, columns = linear_sum_assignment(cosines, maximize=True)
    order = np.argsort(-cosines[rows, columns], kind="stable")
    return Match(rows[order], columns[order], cosines[rows, columns][order])


@one_blas_thread()
def atom_cosines(a: Model, b: Model) -> NDArray[np.float64]:
    """Return the cosines of the atoms of two models in field space, (hidden of a, hidden of b)."""
    return _unit(a.atoms()) @ _unit(b.atoms()).T


def redundant(model: Model, *, above: float = 0.95) -> int:
    """Return the number of units whose atom has a cosine of at least `above` with the atom of another unit."""
    cosines = atom_cosines(model, model)
    np.fill_diagonal(cosines, -1)
    return int((cosines.max(axis=1) >= above).sum()) if len(cosines) > 1 else 0


def _unit(atoms: NDArray[np.float32]) -> NDArray[np.float64]:
    rows = atoms.reshape(len(atoms), -1).astype(np.float64)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300))
