"""The sparse autoencoder as a scikit-learn transformer."""

# mypy: disable-error-code="import-untyped", allow-subclassing-any

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from audiosae.autoencoder.model import Model, as_model
from audiosae.backends import Backend, choose
from audiosae.domain import load_domain
from audiosae.errors import BackendError, InputError
from audiosae.training.learner import Learner
from audiosae.training.options import TrainOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from audiosae.domain import Domain

_DTYPES = (np.float64, np.float32)  # the first is what others become
_OWN_NAMES = {"hidden": "n_components", "epochs": "max_iter", "seed": "random_state"}  # of TrainOptions' fields
_SHARED = (
    "activation", "decoder", "rho", "beta", "weight_decay", "whiten", "whiten_power", "keep", "contrast",
    "remove_mean", "solver", "batch_size", "learning_rate", "tol",
)  # fmt: skip
_BETWEEN_CALLS = ("rho", "beta", "weight_decay", "batch_size", "learning_rate")  # what partial_fit reads anew


if TYPE_CHECKING:

    class _Transformer:
        """What scikit-learn's base classes bring, which have no types of their own."""

        def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002
            """Return the parameters by name."""

        def set_params(self, **params: Any) -> Self:  # noqa: ANN401
            """Set parameters by name."""

        def set_output(self, *, transform: str | None = None) -> Self:
            """Choose the container of what `transform` returns: default, pandas or polars."""

        def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
            """Return the names of the codes."""

        def fit_transform(self, X: ArrayLike, y: object = None, **params: Any) -> NDArray[np.floating]:  # noqa: ANN401
            """Fit, and return the codes (n_samples, n_components) of the same rows."""

        def __sklearn_tags__(self) -> Any:  # noqa: ANN401
            """Return what scikit-learn knows of the estimator."""

else:

    class _Transformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
        """scikit-learn's base classes."""


class SparseAutoencoder(_Transformer):
    """Sparse autoencoder of one hidden layer, as a transformer of rows into codes.

    Minimises, over whitened rows x, ``1/m sum 1/2 |x_hat - x|^2 + weight_decay/2 (|W1|^2 + |W2|^2) + beta sum_j
    KL(rho || rho_hat_j)`` with ``x_hat = g(W2^T f(W1 x + b1) + b2)``: A. Ng, "Sparse autoencoder", CS294A lecture
    notes. Everything is computed by the code behind ``audiosae train``, whose options these parameters are.

    Parameters
    ----------
    n_components : int, default=256
        Hidden units.
    activation : {"sigmoid", "tanh"}, default="sigmoid"
        f; codes lie in (0, 1) or (-1, 1).
    decoder : {"linear", "sigmoid"}, default="linear"
        g; with "sigmoid", rows are clipped at 3 standard deviations and mapped to [0.1, 0.9], as in the notes.
    rho : float, default=0.05
        Mean activity that each unit is held to, in (0, 1).
    beta, weight_decay : float, default=3.0, 1e-4
        Weights of the sparsity penalty and of the squared weights.
    whiten : {"pca", "zca", "scale", "none"}, default="pca"
        What is done to rows first.
    whiten_power, keep : float, default=1.0, 0.99
        1 for full whitening, 0 for rotation only; share of the variance whose leading eigenvectors are kept.
    contrast, remove_mean : bool, default=False
        Bring each row to mean 0 and standard deviation 1, or to mean 0, before whitening.
    solver : {"auto", "adam", "lbfgs"}, default="auto"
        "auto" takes L-BFGS on all rows at once where that is affordable.
    max_iter : int or None, default=None
        Most epochs of Adam or iterations of L-BFGS; None chooses by the number of rows.
    batch_size, learning_rate : int, float, default=1024, 1e-3
        Of Adam. Each batch has its own rho_hat: 128 rows and more make a good one.
    tol : float, default=1e-4
        Relative improvement of the cost under which an epoch counts as idle; smaller trains longer.
    random_state : int, RandomState instance or None, default=None
        Of the starting weights and of the order of rows. An int gives the same components every time.
    backend : {"auto", "numpy", "cupy"}, default="auto"
        Where it is computed.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Atoms: for each unit the whitened input of norm 1 that excites it most, with the whitening undone. They show
        what units stand for; ``codes @ components_`` is not the reconstruction, `inverse_transform` gives that.
    mean_ : ndarray of shape (n_features,)
        What is subtracted from rows; zeros without whitening.
    rho_hat_ : ndarray of shape (n_components,)
        Mean activity of each unit over the rows of the last call of `fit` or `partial_fit`.
    fvu_ : float
        Fraction of the variance of those rows, whitened, that is left unexplained.
    loss_curve_ : list of float
        Cost after each epoch (mean over its batches) or iteration.
    n_iter_, n_samples_seen_, n_features_in_ : int
        Epochs or iterations, or calls of `partial_fit`; rows learned from; numbers in a row.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where the input had any.

    Raises
    ------
    ValueError
        A parameter is out of range, rows do not vary, or contain NaN or infinity.
    TypeError
        The input is a sparse matrix: whitening would fill it; pass ``X.toarray()``.

    Notes
    -----
    Classifiers often do better on ``np.sqrt(codes)`` of sigmoid units than on the codes themselves.

    Examples
    --------
    Rows that are sums of a few out of six patterns:

    >>> import numpy as np
    >>> from audiosae import SparseAutoencoder
    >>> rng = np.random.default_rng(0)
    >>> X = (rng.random((500, 6)) < 0.2) @ rng.normal(size=(6, 20))
    >>> sae = SparseAutoencoder(n_components=12, rho=0.1, beta=0.5, max_iter=100, random_state=0).fit(X)
    >>> codes = sae.transform(X)
    >>> codes.shape, sae.components_.shape
    ((500, 12), (12, 20))
    >>> bool(sae.fvu_ < 0.1), bool(codes.mean() < 0.2)
    (True, True)
    """

    n_components: int
    activation: str
    decoder: str
    rho: float
    beta: float
    weight_decay: float
    whiten: str
    whiten_power: float
    keep: float
    contrast: bool
    remove_mean: bool
    solver: str
    max_iter: int | None
    batch_size: int
    learning_rate: float
    tol: float
    random_state: int | np.random.RandomState | None
    backend: str
    n_features_in_: int
    mean_: NDArray[np.floating]
    rho_hat_: NDArray[np.float64]
    fvu_: float
    n_iter_: int
    n_samples_seen_: int

    def __init__(
        self, *, n_components: int = 256, activation: str = "sigmoid", decoder: str = "linear", rho: float = 0.05,
        beta: float = 3.0, weight_decay: float = 1e-4, whiten: str = "pca", whiten_power: float = 1.0,
        keep: float = 0.99, contrast: bool = False, remove_mean: bool = False, solver: str = "auto",
        max_iter: int | None = None, batch_size: int = 1024, learning_rate: float = 1e-3, tol: float = 1e-4,
        random_state: int | np.random.RandomState | None = None, backend: str = "auto",
    ) -> None:  # fmt: skip
        self.n_components, self.activation, self.decoder = n_components, activation, decoder
        self.rho, self.beta, self.weight_decay = rho, beta, weight_decay
        self.whiten, self.whiten_power, self.keep = whiten, whiten_power, keep
        self.contrast, self.remove_mean = contrast, remove_mean
        self.solver, self.max_iter, self.batch_size = solver, max_iter, batch_size
        self.learning_rate, self.tol = learning_rate, tol
        self.random_state, self.backend = random_state, backend

    @classmethod
    def from_model(cls, model: Model | Path | str, *, backend: str = "auto") -> Self:
        """Return a fitted estimator with the whitening, weights and training options of a saved model.

        Rows are the model's windows of the field, flattened: (count, n_features). `partial_fit` trains on from its
        weights; Adam's moments are not in a model and begin at zero. `fit` begins anew.

        Parameters
        ----------
        model : Model, path or str
            A model, or what `audiosae.load_model` reads.
        backend : str, default="auto"
            As in the class.
        """
        learner = Learner.of(as_model(model))
        options = learner.options
        self = cls(
            n_components=options.hidden, max_iter=options.epochs or None, random_state=options.seed, backend=backend,
            **{name: getattr(options, name) for name in _SHARED},
        )  # fmt: skip
        self._learner, self.n_features_in_ = learner, learner.whitener.width
        return self._describe()

    def to_model(self, domain: Domain | None = None) -> Model:
        """Return the model whose ``save(path)`` writes what `audiosae.load_model` and the command line read.

        An array does not say what its rows were cut from, so a model that is to be used on files needs a domain. Not
        in a model: Adam's moments, so that `partial_fit` after `from_model` begins with new ones; the loss curve but
        for its end; names of features. To keep these, pickle the estimator with joblib.

        Parameters
        ----------
        domain : Domain, optional
            Whose windows, flattened, the rows were. By default that of the model in `from_model`, else ``vectors``
            (package audiosae-vectors), for which a row of a table is a window.

        Returns
        -------
        Model

        Raises
        ------
        PluginError
            No domain was given and ``vectors`` is not installed.
        ValueError
            The domain's windows hold another number of values than the rows.
        """
        check_is_fitted(self)
        if domain is None:
            vectors: Any = load_domain("vectors") if self._learner.domain is None else None
            domain = self._learner.domain or vectors(width=self.n_features_in_)
        if int(np.prod(domain.window)) != self.n_features_in_:
            raise ValueError(f"{domain.name} has windows of {domain.window}; rows had {self.n_features_in_} features")
        return self._learner.model(domain)

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002
        """Learn whitening and weights from rows X of shape (n_samples, n_features); y is not used."""
        rows = validate_data(self, X, dtype=_DTYPES, order="C", ensure_min_samples=2)
        with _words_of_python():
            backend = choose(self.backend)[0]
            self._learner = Learner.begin(rows, self._options(rows.dtype))
        self._learner.fit(rows, backend)
        return self._describe()

    def partial_fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002
        """Take a step of Adam for each `batch_size` rows of X, shape (n_samples, n_features), at an even rate.

        The first call learns the whitening, which stays, and starts the weights: give it a good many rows. Adam's
        moments are kept between calls. `rho`, `beta`, `weight_decay`, `batch_size` and `learning_rate` may change
        between calls; what else the first call used stays. After `fit` it trains on from there. y is not used.
        """
        first = not hasattr(self, "_learner")
        rows = validate_data(self, X, reset=first, dtype=_DTYPES, order="C", ensure_min_samples=1 + first)
        with _words_of_python():
            backend = choose(self.backend)[0]
            learner = Learner.begin(rows, self._options(rows.dtype)) if first else self._learner
            changes: dict[str, Any] = {name: getattr(self, name) for name in _BETWEEN_CALLS}
            learner.options = replace(learner.options, **changes)
        learner.step(rows, backend)
        self._learner = learner
        return self._describe()

    def transform(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the codes (n_samples, n_components) of rows X (n_samples, n_features); float32 stays float32."""
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=_DTYPES, order="C")
        return self._learner.encode(rows, choose(self.backend)[0])

    def inverse_transform(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the rows (n_samples, n_features) that codes X (n_samples, n_components) stand for.

        The decoder's output with the whitening undone. What whitening drops does not come back: directions beyond
        `keep`, and with `contrast` or `remove_mean` each row's own deviation and mean.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=_DTYPES)
        if codes.shape[1] != self._n_features_out:
            raise ValueError(f"X has {codes.shape[1]} columns; wanted codes of {self._n_features_out} components")
        return self._learner.decode(codes)

    @property
    def components_(self) -> NDArray[np.floating]:
        """Atoms, (n_components, n_features), computed when they are asked for."""
        return self._learner.whitener.undo(Backend().unit_rows(self._learner.params.W1))

    @property
    def loss_curve_(self) -> list[float]:
        """Cost after each epoch, iteration or call of `partial_fit`."""
        return self._learner.costs

    def _options(self, dtype: np.dtype[Any]) -> TrainOptions:
        seed = self.random_state
        if not isinstance(seed, Integral):
            seed = check_random_state(seed).randint(2**31 - 1)
        values = {name: getattr(self, name) for name in _SHARED} | {"hidden": self.n_components, "dtype": dtype.name}
        return TrainOptions(**values, epochs=self.max_iter or 0, seed=int(seed))

    def _describe(self) -> Self:
        """Set the public attributes that are no matter of computing."""
        learner = self._learner
        self.mean_, self.rho_hat_, self.fvu_ = learner.whitener.mean, learner.rho_hat, learner.fvu
        self.n_iter_, self.n_samples_seen_ = learner.state.epoch, learner.rows
        return self

    @property
    def _n_features_out(self) -> int:
        return self._learner.options.hidden

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


@contextmanager
def _words_of_python() -> Iterator[None]:
    """Raise what options and backends refuse as a ValueError, with parameters named as here, not as they are typed."""
    try:
        yield
    except (InputError, BackendError) as error:
        text = re.sub(r"--([a-z-]+) (?=\S)", lambda found: f"{_own_name(found[1])}=", str(error))
        raise ValueError(text) from error


def _own_name(flag: str) -> str:
    name = flag.replace("-", "_")
    return _OWN_NAMES.get(name, name)
