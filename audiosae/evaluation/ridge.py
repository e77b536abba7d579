"""Ridge regression whose penalty is chosen on held-out folds, by products that run in several threads at once.

NumPy's products and its `linalg` release the lock of the interpreter. Most of SciPy's LAPACK functions hold it (SciPy
1.17), so that the folds of an evaluation, which are classified in threads, would wait for one another.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Part = tuple[NDArray[Any], NDArray[Any]]  # features and targets of some files

# penalties from 316 down to 0.000316, in steps of half a power of ten; the search starts at 0.1
STRENGTHS: tuple[float, ...] = tuple(10.0 ** (step / 2) for step in range(5, -8, -1))
_START = STRENGTHS.index(0.1)
_BLOCK = 64  # columns that are factorised at a time: with more, their inverses take longer, with fewer, the products
_FEW = 512  # features or files, for which fits take no time worth saving
_ROUNDING = 10.0  # pivots below this many rounding errors mean that the penalty is lost


class Ridge:
    """Ridge regression of any strength, and its error on held-out folds (Hoerl and Kennard 1970).

    The fits without a fold have the penalty of the fit to all files. The products of features are computed once. A
    fit takes one Cholesky factorisation, of as many rows as features, or as files where there are more features.

    Parameters
    ----------
    x, target
        Features (files, features), standardised, and targets (files, outputs).
    folds
        Masks of the files that are held out in turn; no file is held out twice.
    """

    def __init__(self, x: NDArray[Any], target: NDArray[Any], folds: Sequence[NDArray[np.bool_]]) -> None:
        self._files, self._size = len(x), min(x.shape)
        self._held_out = [(x[out], target[out]) for out in folds]
        if x.shape[1] <= len(x):
            always = ~np.any(folds, axis=0) if folds else np.ones(len(x), bool)
            self._fits: _FewFeatures | _FewFiles = _FewFeatures(self._held_out, (x[always], target[always]))
        else:
            self._fits = _FewFiles(x, target, folds)

    def predict(self, rows: NDArray[Any], strength: float) -> NDArray[Any]:
        """Return predictions for rows of features, (rows, outputs)."""
        return self._fits.predict(rows, strength * self._files)

    def error_held_out(self, strength: float) -> float:
        """Return the sum over folds of the squared error of a fit to the other folds.

        It is infinite if the penalty is lost in rounding errors, as with nearly collinear features.
        """
        total = 0.0
        for fold, (rows, target) in enumerate(self._held_out):
            try:
                error = self._fits.predict(rows, strength * self._files, fold) - target
            except np.linalg.LinAlgError:
                return np.inf
            total += float(np.square(error).sum(dtype=np.float64))
        return total

    def best_strength(self) -> float:
        """Return the strength with the smallest error on the held-out folds.

        With few features the error may have a second, shallow minimum near the start of the search, which whole powers
        of ten step over. With many it has one minimum, and each strength takes long.
        """
        strides = (2, 1) if self._size <= _FEW else (1,)
        return STRENGTHS[valley(lambda at: self.error_held_out(STRENGTHS[at]), len(STRENGTHS), _START, strides)]


def valley(error: Callable[[int], float], count: int, start: int, strides: Sequence[int]) -> int:
    """Return the index of the smallest of `count` errors, by descent from `start` in steps of each stride in turn.

    An infinite error at the start is left towards index 0.
    """
    error, at = cache(error), start
    while at and error(at) == np.inf:
        at -= 1
    for stride in strides:
        before = at
        for step in (-stride, stride):
            while 0 <= at + step < count and error(at + step) < error(at):
                at += step
            if at != before:
                break
    return at


class _FewFeatures:
    """Ridge fits to all files, or without a fold, from the products of features, of a constant and of targets.

    The constant is a feature without a penalty.
    """

    def __init__(self, folds: Sequence[Part], always: Part) -> None:
        self._all, self._folds = _products(*always), [_products(*part) for part in folds]
        for products in self._folds:
            self._all += products

    def predict(self, rows: NDArray[Any], penalty: float, fold: int | None = None) -> NDArray[Any]:
        """Return the predictions of a fit to all files, or to those outside a fold."""
        features = rows.shape[1]
        used = np.s_[:, : features + 1]
        system = self._all[used].copy() if fold is None else self._all[used] - self._folds[fold][used]
        system.flat[: features * (features + 1) : features + 2] += system.dtype.type(penalty)
        weights = _solve(system, 0 if fold is None else _ROUNDING)
        return np.asarray(rows @ weights[:-1] + weights[-1])


def _products(x: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
    rows = np.concatenate([x, np.ones_like(x[:, :1]), target], axis=1)
    return np.asarray(rows.T @ rows)


class _FewFiles:
    """Ridge fits to all files, or without a fold, from the products of files: the weights are combinations of files.

    Hastie, Tibshirani and Friedman 2009, section 18.3.5. The constant makes the residuals sum to 0.
    """

    def __init__(self, x: NDArray[Any], target: NDArray[Any], folds: Sequence[NDArray[np.bool_]]) -> None:
        self._rows, self._products, self._folds = x, x @ x.T, folds
        self._right = np.concatenate([target, np.ones_like(target[:, :1])], axis=1)

    def predict(self, rows: NDArray[Any], penalty: float, fold: int | None = None) -> NDArray[Any]:
        """Return the predictions of a fit to all files, or to those outside a fold."""
        used = np.flatnonzero(np.ones(len(self._rows), bool) if fold is None else ~self._folds[fold])
        system = np.concatenate([self._products[np.ix_(used, used)], self._right[used].T])
        system.flat[: len(used) ** 2 : len(used) + 1] += system.dtype.type(penalty)
        solved = _solve(system, 0 if fold is None else _ROUNDING)
        constant = solved[:, :-1].sum(axis=0) / solved[:, -1].sum()
        shares = np.zeros((len(self._rows), len(constant)), system.dtype)
        shares[used] = solved[:, :-1] - solved[:, -1:] * constant
        return np.asarray(rows @ (self._rows.T @ shares) + constant)


def _solve(system: NDArray[Any], rounding: float) -> NDArray[Any]:
    """Solve A w = b by Cholesky factorisation in blocks of columns (Golub and Van Loan 2013, section 4.2).

    Parameters
    ----------
    system
        A, of which the upper triangle is not read, and below it b transposed, (count + outputs, count); overwritten.
    rounding
        Pivots below this many rounding errors raise.

    Returns
    -------
    array
        w, (count, outputs).

    Raises
    ------
    numpy.linalg.LinAlgError
        A is not positive definite, or only so within rounding errors.
    """
    count, inverses = system.shape[1], []
    least = rounding * np.finfo(system.dtype).eps * count**0.5 * system.diagonal()
    blocks = [slice(at, min(at + _BLOCK, count)) for at in range(0, count, _BLOCK)]
    for block in blocks:
        panel, size = system[block.start :, block], block.stop - block.start
        if block.start:
            panel -= system[block.start :, : block.start] @ system[block, : block.start].T
        root = np.linalg.cholesky(panel[:size])
        if (np.square(root.diagonal()) <= least[block]).any():
            raise np.linalg.LinAlgError("the penalty is lost in rounding errors")
        inverses.append(np.linalg.inv(root))
        panel[size:] = panel[size:] @ inverses[-1].T
    solved = np.ascontiguousarray(system[count:].T)
    for block, inverse in zip(reversed(blocks), reversed(inverses), strict=True):
        after = slice(block.stop, count)
        solved[block] = inverse.T @ (solved[block] - system[after, block].T @ solved[after])
    return solved
