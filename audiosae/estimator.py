"""The sparse autoencoder as a scikit-learn transformer."""

# mypy: disable-error-code="import-untyped", allow-subclassing-any

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from audiosae.autoencoder.model import Model, as_model
from audiosae.backends import Backend, choose
from audiosae.domain import Domain, load_domain
from audiosae.errors import BackendError, InputError
from audiosae.system.spelling import with_arguments
from audiosae.training.learner import Learner
from audiosae.training.options import TrainOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray
    from sklearn.utils import Tags

_DTYPES = (np.float64, np.float32)  # other types are converted to the first
_NAMES = {"hidden": "n_components", "epochs": "max_iter", "seed": "random_state"}  # options with another name here
_PARTIAL_FIT = ("rho", "beta", "weight_decay", "batch_size", "learning_rate")  # may change between calls of partial_fit
_FIXED = ("activation", "decoder", "whiten", "whiten_power", "keep", "contrast", "remove_mean", "solver", "tol")
_SHARED = (*_PARTIAL_FIT, *_FIXED)  # options with the same name here


if TYPE_CHECKING:

    class _Transformer:
        """Types of the methods of scikit-learn's base classes, which have none."""

        def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002
            """Return the parameters by name."""

        def set_params(self, **params: object) -> Self:
            """Set parameters by name."""

        def set_output(self, *, transform: str | None = None) -> Self:
            """Choose the container of what `transform` returns: default, pandas or polars."""

        def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
            """Return the names of the codes."""

        def fit_transform(self, X: ArrayLike, y: object = None, **params: object) -> NDArray[np.floating]:
            """Fit, and return the codes (n_samples, n_components) of the same rows."""

        def __sklearn_tags__(self) -> Tags:
            """Return the tags of the estimator."""

else:

    class _Transformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
        """scikit-learn's base classes."""


class SparseAutoencoder(_Transformer):
    """Sparse autoencoder with one hidden layer: a transformer of rows into codes.

    It minimises, over whitened rows x, ``1/m sum 1/2 |x_hat - x|^2 + weight_decay/2 (|W1|^2 + |W2|^2) + beta sum_j
    KL(rho || rho_hat_j)`` with ``x_hat = g(W2^T f(W1 x + b1) + b2)``: A. Ng, "Sparse autoencoder", CS294A lecture
    notes. The parameters are options of ``audiosae train``, and the computation is the same.

    Parameters
    ----------
    n_components : int, default=256
        Number of hidden units.
    activation : {"sigmoid", "tanh"}, default="sigmoid"
        Activation function f of the hidden units; codes are in (0, 1) or (-1, 1).
    decoder : {"linear", "sigmoid"}, default="linear"
        Activation function g of the output layer; with "sigmoid", rows are clipped at 3 standard deviations and mapped
        to [0.1, 0.9], as in the notes.
    rho : float, default=0.05
        Target mean activity of each unit, in (0, 1).
    beta, weight_decay : float, default=3.0, 1e-4
        Weights of the sparsity penalty and of the squared weights.
    whiten : {"pca", "zca", "scale", "none"}, default="pca"
        Preprocessing of the rows.
    whiten_power, keep : float, default=1.0, 0.99
        Strength of the whitening (0 only rotates, 1 whitens fully); share of the variance that whitening keeps.
    contrast, remove_mean : bool, default=False
        Normalise each row to mean 0 and standard deviation 1, or to mean 0, before whitening.
    solver : {"auto", "adam", "lbfgs"}, default="auto"
        "auto" uses L-BFGS on all rows at once if that is cheap, else Adam.
    max_iter : int or None, default=None
        Largest number of epochs (Adam) or iterations (L-BFGS); None chooses by the number of rows.
    batch_size, learning_rate : int, float, default=1024, 1e-3
        Rows per step and peak learning rate of Adam. Each batch has its own rho_hat, which needs 128 rows or more.
    tol : float, default=1e-4
        Smallest relative improvement of the cost that counts for early stopping; smaller values train longer.
    random_state : int, RandomState instance or None, default=None
        Seed for initial weights and the order of rows. With an int, the components are the same in every call.
    backend : {"auto", "numpy", "cupy"}, default="auto"
        Compute device: "auto" uses an NVIDIA GPU if available.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Atoms: for each unit the whitened input of norm 1 that maximises its activation, with the whitening undone:
        the pattern of the unit. ``codes @ components_`` is not the reconstruction; `inverse_transform` returns that.
    mean_ : ndarray of shape (n_features,)
        Mean that is subtracted from rows; zeros without whitening.
    rho_hat_ : ndarray of shape (n_components,)
        Mean activity of each unit over the rows of the last call of `fit` or `partial_fit`.
    fvu_ : float
        Fraction of variance unexplained of these rows, whitened.
    loss_curve_ : list of float
        Cost after each epoch (mean over its batches) or iteration.
    n_iter_, n_samples_seen_, n_features_in_ : int
        Number of epochs, iterations or calls of `partial_fit`; of rows over all calls; of values in a row.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if the input had names.

    Raises
    ------
    ValueError
        A parameter is out of range, all rows are the same, or they contain NaN or infinity.
    TypeError
        The input is a sparse matrix, which whitening would make dense; pass ``X.toarray()``.

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

    n_features_in_: int

    def __init__(
        self,
        *,
        n_components: int = 256,
        activation: str = "sigmoid",
        decoder: str = "linear",
        rho: float = 0.05,
        beta: float = 3.0,
        weight_decay: float = 1e-4,
        whiten: str = "pca",
        whiten_power: float = 1.0,
        keep: float = 0.99,
        contrast: bool = False,
        remove_mean: bool = False,
        solver: str = "auto",
        max_iter: int | None = None,
        batch_size: int = 1024,
        learning_rate: float = 1e-3,
        tol: float = 1e-4,
        random_state: int | np.random.RandomState | None = None,
        backend: str = "auto",
    ) -> None:
        self.n_components: int = n_components
        self.activation: str = activation
        self.decoder: str = decoder
        self.rho: float = rho
        self.beta: float = beta
        self.weight_decay: float = weight_decay
        self.whiten: str = whiten
        self.whiten_power: float = whiten_power
        self.keep: float = keep
        self.contrast: bool = contrast
        self.remove_mean: bool = remove_mean
        self.solver: str = solver
        self.max_iter: int | None = max_iter
        self.batch_size: int = batch_size
        self.learning_rate: float = learning_rate
        self.tol: float = tol
        self.random_state: int | np.random.RandomState | None = random_state
        self.backend: str = backend

    @classmethod
    def from_model(cls, model: Model | Path | str, *, backend: str = "auto") -> Self:
        """Return a fitted estimator with the whitening, weights and training options of a model.

        Rows are flattened windows of the field, (count, n_features). `partial_fit` continues from the weights of the
        model; Adam's moments, which a model does not contain, start at zero. `fit` starts from random weights.

        Parameters
        ----------
        model : Model, path or str
            A model, or the path of a model file or run folder.
        backend : str, default="auto"
            As in the class.
        """
        learner = Learner.of(as_model(model))
        options = learner.options
        self = cls(
            n_components=options.hidden,
            max_iter=options.epochs or None,
            random_state=options.seed,
            backend=backend,
            **{name: getattr(options, name) for name in _SHARED},
        )
        self._learner, self.n_features_in_ = learner, learner.whitener.width
        return self._describe()

    def to_model(self, domain: Domain | None = None) -> Model:
        """Return a model; its ``save(path)`` writes a file for `audiosae.load_model` and the command line.

        To use the model on files, give the domain of the windows that the rows are. A model does not contain Adam's
        moments (`partial_fit` after `from_model` starts with zeros), the loss curve except its last value, and the
        names of features. To save these too, pickle the estimator with joblib.

        Parameters
        ----------
        domain : Domain, optional
            Domain whose flattened windows are the rows. By default that of the model in `from_model`, else ``vectors``
            (package audiosae-vectors), in which a window is a row of a table.

        Returns
        -------
        Model

        Raises
        ------
        PluginError
            No domain was given and ``vectors`` is not installed.
        ValueError
            Windows of the domain and rows have different numbers of values.
        """
        check_is_fitted(self)
        if domain is None:
            domain = self._learner.domain or cast("Any", load_domain("vectors"))(width=self.n_features_in_)
        if np.prod(domain.window) != self.n_features_in_:
            raise ValueError(f"{domain.name} has windows of {domain.window}; rows had {self.n_features_in_} features")
        return self._learner.model(domain)

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002
        """Learn whitening and weights from rows X of shape (n_samples, n_features); y is not used."""
        rows = validate_data(self, X, dtype=_DTYPES, order="C", ensure_min_samples=2)
        with _value_errors():
            backend = choose(self.backend)[0]
            self._learner = Learner.begin(rows, self._options(rows.dtype))
        self._learner.fit(rows, backend)
        return self._describe()

    def partial_fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002
        """Take a step of Adam for each `batch_size` rows of X (n_samples, n_features), at a constant learning rate.

        The first call learns the whitening, which later calls use too, so it needs many rows; it also initialises the
        weights. Later calls continue with the same moments of Adam. `rho`, `beta`, `weight_decay`, `batch_size` and
        `learning_rate` may change between calls; changes of other parameters have no effect. After `fit`, it continues
        from its weights. y is not used.
        """
        first = not hasattr(self, "_learner")
        rows = validate_data(self, X, reset=first, dtype=_DTYPES, order="C", ensure_min_samples=1 + first)
        with _value_errors():
            backend = choose(self.backend)[0]
            learner = Learner.begin(rows, self._options(rows.dtype)) if first else self._learner
            learner.options = replace(learner.options, **{name: getattr(self, name) for name in _PARTIAL_FIT})
        learner.step(rows, backend)
        self._learner = learner
        return self._describe()

    def transform(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the codes (n_samples, n_components) of rows X (n_samples, n_features); float32 stays float32."""
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=_DTYPES, order="C")
        return self._learner.encode(rows, choose(self.backend)[0])

    def inverse_transform(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the reconstructed rows (n_samples, n_features) of codes X (n_samples, n_components).

        This is the output of the decoder with the whitening undone. Parts that whitening removes are not restored: the
        variance beyond `keep`, and with `contrast` or `remove_mean` the mean and standard deviation of each row.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=_DTYPES)
        if codes.shape[1] != self._n_features_out:
            raise ValueError(f"X has {codes.shape[1]} columns; wanted codes of {self._n_features_out} components")
        return self._learner.decode(codes)

    @property
    def components_(self) -> NDArray[np.floating]:
        """Atoms, (n_components, n_features), computed on access."""
        return self._learner.whitener.undo(Backend().unit_rows(self._learner.params.W1))

    @property
    def loss_curve_(self) -> list[float]:
        """Cost after each epoch, iteration or call of `partial_fit`; empty if L-BFGS stops at the start."""
        return [row.cost for row in self._learner.state.history.rows]

    def _options(self, dtype: np.dtype[Any]) -> TrainOptions:
        seed = self.random_state
        if not isinstance(seed, Integral):
            seed = check_random_state(seed).randint(2**31 - 1)
        values = {name: getattr(self, name) for name in _SHARED} | {"hidden": self.n_components, "dtype": dtype.name}
        return TrainOptions(**values, epochs=self.max_iter or 0, seed=int(seed))

    def _describe(self) -> Self:
        self.mean_: NDArray[np.floating] = self._learner.whitener.mean
        self.rho_hat_: NDArray[np.float64] = self._learner.rho_hat
        self.fvu_: float = self._learner.fvu
        self.n_iter_: int = self._learner.state.epoch
        self.n_samples_seen_: int = self._learner.rows
        return self

    @property
    def _n_features_out(self) -> int:
        return self._learner.options.hidden

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


@contextmanager
def _value_errors() -> Iterator[None]:
    """Turn errors of options and backends into ValueError, with names of parameters instead of command-line options."""
    try:
        yield
    except (InputError, BackendError) as error:
        raise ValueError(with_arguments(str(error), _NAMES)) from error
