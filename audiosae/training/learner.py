"""Train on the rows of an array in memory, with the whitening, gradient and solvers of training on files."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from audiosae.autoencoder.model import Model
from audiosae.autoencoder.sae import Params, encode
from audiosae.backends import Backend
from audiosae.backends.cpu import SIGMOID
from audiosae.corpus.windows import CHUNK_WINDOWS
from audiosae.engine.feed import Feed, score
from audiosae.engine.learn_whitening import MOMENT_WINDOWS, whitener_of
from audiosae.errors import InputError
from audiosae.system.threads import one_blas_thread
from audiosae.training.checkpoint import State
from audiosae.training.fit import provenance
from audiosae.training.options import TrainOptions, choose_solver
from audiosae.training.solvers import SOLVERS, Task, adam

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiosae.autoencoder.whitening import Whitener
    from audiosae.domain import Domain, Json

    Rows = NDArray[np.floating]


def options_of(model: Model) -> TrainOptions:
    """Return the options of a trained model, without those that this version does not know."""
    params, known = model.params, {f.name for f in fields(TrainOptions)}
    options = {key: value for key, value in model.facts["options"].items() if key in known}
    return TrainOptions.stored(
        options,
        hidden=params.hidden,
        activation=params.activation,
        decoder=params.decoder,
        dtype=params.flat.dtype.name,
    )


@dataclass
class Learner:
    """Whitening, weights and state of a training on rows in memory. It can be pickled.

    Attributes
    ----------
    options, whitener, state
        As in training on files; after `fit`, the parameters are the best ones.
    rho_hat
        Mean activity of each unit over the rows of the last call, (hidden,).
    fvu
        Fraction of variance unexplained of these rows, whitened.
    rows
        Number of rows over all calls.
    base
        Provenance of the model that training started from; empty without one.
    domain
        Domain of that model.
    """

    options: TrainOptions
    whitener: Whitener
    state: State
    rho_hat: NDArray[np.float64]
    fvu: float = np.nan
    rows: int = 0
    base: dict[str, Any] = field(default_factory=dict)
    domain: Domain | None = None

    @classmethod
    def begin(cls, rows: Rows, options: TrainOptions) -> Self:
        """Learn the whitening of rows (count, width) and initialise the weights."""
        count = min(len(rows), MOMENT_WINDOWS)
        take = np.arange(count) * len(rows) // count
        whitener = whitener_of(
            (rows[take[at : at + CHUNK_WINDOWS]] for at in range(0, count, CHUNK_WINDOWS)),
            options.whitening,
        )
        params = options.start(whitener)
        return cls(options, whitener, State.fresh(params.flat, params.hidden), np.zeros(params.hidden))

    @classmethod
    def of(cls, model: Model) -> Self:
        """Start from a model; Adam's moments are not part of it and start at zero."""
        if model.whitener.parts:
            raise InputError(
                "the model has windows of two lengths, an estimator has one: wanted one of model.parts(), the first of "
                "which has the short windows"
            )
        params, options = model.params, options_of(model)
        return cls(
            options,
            model.whitener,
            State.fresh(params.flat.copy(), params.hidden),
            model.rho_hat,
            float(model.facts.get("fvu", np.nan)),
            base=model.facts,
            domain=model.domain,
        )

    @property
    def params(self) -> Params:
        """The weights. They are not stored: pickling would separate their views of one array."""
        return self._params(self.state.flat)

    def _params(self, flat: NDArray[Any]) -> Params:
        return Params(
            flat,
            self.options.hidden,
            self.whitener.n_components,
            activation=self.options.activation,
            decoder=self.options.decoder,
        )

    @one_blas_thread()
    def fit(self, rows: Rows, backend: Backend) -> None:
        """Train on rows (count, width) with the solver of the options; auto chooses by the number of rows."""
        feed = self._feed(rows, backend)
        self.options = choose_solver(self.options, len(feed), self.whitener.n_components)
        task = Task(backend, feed, None, self.params, self.options, self.state)
        with task.running():
            SOLVERS[self.options.solver](task)
        self.state.flat[:] = self.state.best
        backend.release()
        self.state.step *= self.options.solver == "adam"  # Adam corrects its moments by the number of its own steps
        self._measure(feed)

    @one_blas_thread()
    def step(self, rows: Rows, backend: Backend) -> None:
        """Take a step of Adam for each batch of the rows, with a constant learning rate."""
        feed = self._feed(rows, backend)
        self.state.history.epochs_without_improvement = 0  # the caller decides when to stop
        task = Task(backend, feed, None, self.params, self.options, self.state, epochs=self.state.epoch + 1)
        with task.running():
            adam(task, lambda _: 1.0)
        backend.release()
        self._measure(feed)

    def _feed(self, rows: Rows, backend: Backend) -> Feed:
        return Feed.of(backend.asarray(self.whitener.apply(rows.astype(self.options.dtype, copy=False))), backend)

    def _measure(self, feed: Feed) -> None:
        self.state.best = self.state.flat  # one array, for a smaller pickle
        scores = score(feed, self.params)
        self.rho_hat, self.fvu = scores.rho_hat, float(scores.fvu)
        self.rows += len(feed)

    @one_blas_thread()
    def encode(self, rows: Rows, backend: Backend) -> Rows:
        """Return the codes (count, hidden) of rows (count, width), in the rows' dtype."""
        params = self._params(backend.asarray(self.state.flat.astype(rows.dtype, copy=False)))
        return backend.to_host(encode(backend, params, backend.asarray(self.whitener.apply(rows))))

    @one_blas_thread()
    def decode(self, codes: Rows) -> Rows:
        """Return the reconstructed rows (count, width) of codes (count, hidden), in the codes' dtype."""
        params = self._params(self.state.flat.astype(codes.dtype, copy=False))
        rows = codes @ params.W2
        if params.decoder == SIGMOID:
            Backend().activate(rows, params.b2, SIGMOID)
        else:
            rows += params.b2
        return self.whitener.restore(rows)

    def model(self, domain: Domain) -> Model:
        """Return the model for windows of a domain; without training since `of`, it has its original provenance."""
        facts = self._provenance() if self.rows else dict(self.base)
        return Model.create(domain, self.whitener, self.params, np.asarray(self.rho_hat, np.float64), facts)

    def _provenance(self) -> dict[str, Json]:
        state, rows = self.state, self.state.history.rows
        sources: dict[str, Json] = {
            "used": 0,
            "skipped": 0,
            "digest": "",
            "windows": self.rows,
            "windows_held_out": 0,
            "held_out": "nothing (rows of an array)",
            "extent": 0.0,
        }
        if self.base:
            sources["began_with"] = self.base.get("sources")
        last: dict[str, Json] = {"step": state.step, "epoch": state.epoch, "cost": rows[-1].cost if rows else 0.0}
        return provenance(self.options, sources, state.history, last=last, fvu=self.fvu)
