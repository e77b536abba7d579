"""Learn from rows of an array in memory, with the whitening, gradient and solvers of training on files."""

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
    """Return the options that a model was trained with, as far as this version knows them."""
    params, known = model.params, {f.name for f in fields(TrainOptions)}  # another version may have had others
    kept = {key: value for key, value in model.facts["options"].items() if key in known}
    own = {"hidden": params.hidden, "activation": params.activation, "decoder": params.decoder}
    return TrainOptions.stored(kept, **own, dtype=params.flat.dtype.name)


@dataclass
class Learner:
    """A whitening, weights, and where their training stands. Holds arrays only, so that it can be pickled.

    Attributes
    ----------
    options, whitener, state
        As in training on files; the state's best parameters are those that `fit` ended with.
    rho_hat
        Mean activity of each unit over the rows of the last call, (hidden,).
    fvu
        Fraction of the variance of those rows, whitened, that is left unexplained.
    rows
        Number of rows learned from, over all calls.
    base
        Provenance of the model that this began with, empty where it began with nothing.
    domain
        Of that model.
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
        """Learn the whitening of rows (count, width) and start the weights."""
        count = min(len(rows), MOMENT_WINDOWS)
        take = np.arange(count) * len(rows) // count
        whitener = whitener_of(
            (rows[take[at : at + CHUNK_WINDOWS]] for at in range(0, count, CHUNK_WINDOWS)),
            options.whitening,
        )
        state = State.fresh(options.start(whitener).flat, options.hidden)
        return cls(options, whitener, state, np.zeros(options.hidden))

    @classmethod
    def of(cls, model: Model) -> Self:
        """Go on from a model; Adam's moments are not in it and begin at zero."""
        params, options = model.params, options_of(model)
        state = State.fresh(params.flat.copy(), params.hidden)
        fvu = float(model.facts.get("fvu", np.nan))
        return cls(options, model.whitener, state, model.rho_hat, fvu, base=model.facts, domain=model.domain)

    @property
    def params(self) -> Params:
        """The weights, built anew each time: their views into one array would come apart in a pickle."""
        return self._params(self.state.flat)

    @property
    def costs(self) -> list[float]:
        """Cost of each epoch, iteration or call of `step`; L-BFGS that stops where it starts leaves none."""
        return [row.cost for row in self.state.history.rows]

    def _params(self, flat: NDArray[Any]) -> Params:
        options = self.options
        how = {"activation": options.activation, "decoder": options.decoder}
        return Params(flat, options.hidden, self.whitener.n_components, **how)

    @one_blas_thread()
    def fit(self, rows: Rows, backend: Backend) -> None:
        """Run the solver that the options name, or the one that suits the number of rows."""
        feed = self._feed(rows, backend)
        self.options = choose_solver(self.options, len(feed), self.whitener.n_components, lambda _: None)
        task = Task(backend, feed, None, self.params, self.options, self.state)
        with task.running():
            SOLVERS[self.options.solver](task)
            self.state.flat[:] = self.state.best
        backend.release()
        self.state.step *= self.options.solver == "adam"  # Adam corrects its moments by the number of its own steps
        self._measure(feed)

    @one_blas_thread()
    def step(self, rows: Rows, backend: Backend) -> None:
        """Take a step of Adam for each batch of the rows, at an even rate."""
        feed = self._feed(rows, backend)
        self.state.history.epochs_without_improvement = 0  # whoever calls decides when to stop
        task = Task(backend, feed, None, self.params, self.options, self.state, epochs=self.state.epoch + 1)
        with task.running():
            adam(task, lambda _: 1.0)
        backend.release()
        self._measure(feed)

    def _feed(self, rows: Rows, backend: Backend) -> Feed:
        return Feed.of(backend.asarray(self.whitener.apply(rows.astype(self.options.dtype, copy=False))), backend)

    def _measure(self, feed: Feed) -> None:
        """Score the rows just learned from, with the weights as they are now."""
        self.state.best = self.state.flat  # one array: a pickle need not hold both
        found = score(feed, self.params)
        self.rho_hat, self.fvu = found.rho_hat, float(found.fvu)
        self.rows += len(feed)

    @one_blas_thread()
    def encode(self, rows: Rows, backend: Backend) -> Rows:
        """Return the codes (count, hidden) of rows (count, width), in the rows' dtype."""
        params = self._params(backend.asarray(self.state.flat.astype(rows.dtype, copy=False)))
        return backend.to_host(encode(backend, params, backend.asarray(self.whitener.apply(rows))))

    @one_blas_thread()
    def decode(self, codes: Rows) -> Rows:
        """Return the rows (count, width) that codes (count, hidden) stand for, in the codes' dtype."""
        params = self._params(self.state.flat.astype(codes.dtype, copy=False))
        seen = codes @ params.W2
        if params.decoder == SIGMOID:
            Backend().activate(seen, params.b2, SIGMOID)
        else:
            seen += params.b2
        return self.whitener.restore(seen)

    def model(self, domain: Domain) -> Model:
        """Return the model that can be saved; untouched since `of`, with the provenance that it came with."""
        facts = self._provenance() if self.rows else dict(self.base)
        return Model.create(domain, self.whitener, self.params, np.asarray(self.rho_hat, np.float64), facts)

    def _provenance(self) -> dict[str, Any]:
        reached = {"step": self.state.step, "epoch": self.state.epoch, "cost": self.costs[-1] if self.costs else 0.0}
        sources: dict[str, Json] = {
            "used": 0, "skipped": 0, "digest": "", "windows": self.rows, "windows_held_out": 0,
            "held_out": "nothing (rows of an array)", "extent": 0.0,
        }  # fmt: skip
        if self.base:
            sources["began_with"] = self.base.get("sources")
        return provenance(self.options, sources) | {
            "held_out": False, "fvu": self.fvu, "fvu_train": self.fvu, "history": reached,
            "best_epoch": self.state.history.best_epoch,
        }  # fmt: skip
