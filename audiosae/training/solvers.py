"""Adam on shuffled mini-batches, and L-BFGS on all windows at once; both can be stopped and taken up again."""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.model import DEAD_SHARE
from audiosae.autoencoder.sae import finish
from audiosae.engine.feed import Feed, score
from audiosae.errors import InputError, Interrupted
from audiosae.system.progress import Progress
from audiosae.training.history import Row
from audiosae.training.steps import Steps, summed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from audiosae.autoencoder.sae import Cost, Params, Sums
    from audiosae.backends import Backend
    from audiosae.training.checkpoint import State
    from audiosae.training.options import TrainOptions

    Array = Any

_CHECKPOINT_SECONDS = 60.0
_PATIENCE_LBFGS = 50
_AT_MOST_EVERY = 1.0  # seconds between checkpoints at the ends of short epochs
_PATIENCE, _PATIENCE_SHARE = 10, 4  # epochs without improvement on held-out sources, at least; a part of the run
_WARM_UP = 0.02  # share of the run over which Adam's rate rises: its first steps are all sign
_ONE_BLOCK_BYTES = 2**26  # below this, all windows are one batch and five matrix products do instead of six
_CORRECTIONS = 20  # L-BFGS's memory; SciPy's 10 takes a third more iterations here


@dataclass
class Task:
    """What a solver works on.

    Attributes
    ----------
    feed, held_out
        Training windows, held-out windows (None when there are none).
    params
        Shapes and kinds of the parameters; those of the task lie in the state's flat array while it is running.
    state
        Where training stands; on the backend's device while the task is running.
    epochs
        Most epochs (Adam) or iterations (L-BFGS); by default those of the options.
    save
        Keeps the state, given a function that brings arrays to the host; None where nothing keeps it.
    stop_requested
        Set when the run is asked to stop.
    """

    backend: Backend
    feed: Feed
    held_out: Feed | None
    params: Params
    options: TrainOptions
    state: State
    epochs: int = 0
    save: Callable[[State, Callable[[Array], Array]], None] | None = None
    stop_requested: threading.Event = field(default_factory=threading.Event)
    progress: Progress = field(default_factory=Progress)
    _since: float = 0.0
    _saved: float = 0.0
    _synced: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start the clocks, and have state and parameters on the backend's device meanwhile."""
        self.epochs = self.epochs or self.options.epochs
        self._since = self._saved = time.monotonic()
        with self.backend.session():
            self.state.move(self.backend.asarray)
            self.params = self.params.like(self.state.flat)
            try:
                yield
            finally:
                self.state.move(self.backend.to_host)
                self.params = self.params.like(self.state.flat)

    @property
    def total(self) -> int:
        """Windows (Adam) or iterations (L-BFGS) of the whole run."""
        return self.options.epochs * self._per_epoch

    @property
    def done(self) -> float:
        """How many of the total are done."""
        return self.state.epoch * self._per_epoch + (self.state.sums[0] if self.options.solver == "adam" else 0)

    @property
    def _per_epoch(self) -> int:
        return len(self.feed) if self.options.solver == "adam" else 1

    @cached_property
    def steps(self) -> Steps:
        """Steps of Adam."""
        return Steps(self.backend, self.params, self.state, self.options.penalty)

    def sync_totals(self) -> None:
        """Between Adam steps: read the running totals, at most once per `sync_interval`."""
        if time.monotonic() - self._synced >= self.backend.sync_interval:
            self.steps.read()
            self._synced = time.monotonic()

    def checkpoint(self, *, after: float = 0.0) -> None:
        """Write the state, unless that was done less than `after` seconds ago."""
        now = time.monotonic()
        if now - self._saved >= after:
            self.state.seconds += now - self._since
            self._since = self._saved = now
            if "steps" in vars(self):
                self.steps.read()
            if self.save is not None:
                self.save(self.state, self.backend.to_host)

    def checkpoint_or_stop(self) -> None:
        """Between steps: write a checkpoint every minute; stop when requested."""
        if self.stop_requested.is_set():
            if self.save is None:
                raise KeyboardInterrupt
            self.checkpoint()
            raise Interrupted("the checkpoint is written: the same command with --resume goes on from it")
        self.checkpoint(after=_CHECKPOINT_SECONDS)

    def close_epoch(self, cost: tuple[float, float, float], rho_hat: Array) -> None:
        """Record an epoch in the history, and check for divergence."""
        state, options = self.state, self.options
        if not all(map(math.isfinite, cost)):
            raise InputError(
                f"training diverged in epoch {state.epoch + 1}: the cost is {cost[0]:g}; lower --learning-rate "
                f"({options.learning_rate:g}), --beta ({options.beta:g}) or --weight-decay ({options.weight_decay:g})"
            )
        state.epoch += 1
        params = self.params.like(state.flat)
        held_out_cost, fvu = self._held_out_cost(params, cost[2]) if self.held_out else (cost[0], math.nan)
        if state.history.update_best(held_out_cost, state.epoch, options.tol):
            state.best = state.flat.copy()
        seconds = state.seconds + time.monotonic() - self._since
        dead = int((rho_hat < DEAD_SHARE * options.rho).sum())
        row = Row(state.step, state.epoch, int(state.sums[0]), *cost, float(rho_hat.mean()), dead, seconds, fvu)
        state.history.rows.append(row)
        state.batch, state.sums, state.activity = 0, [0.0] * 4, np.zeros_like(state.activity)
        if "steps" in vars(self):
            self.steps.begin()
        self.checkpoint(after=_AT_MOST_EVERY)

    @property
    def should_continue(self) -> bool:
        """Early stopping: whether epochs are left and the held-out cost has improved recently."""
        least = _PATIENCE_LBFGS if self.options.solver == "lbfgs" else _PATIENCE  # it starts on a plateau
        patience = max(least, self.epochs // _PATIENCE_SHARE)
        return self.state.epoch < self.epochs and self.state.history.epochs_without_improvement < patience

    def _held_out_cost(self, params: Params, sparsity: float) -> tuple[float, float]:
        """Return the cost and the fraction of variance unexplained on held-out windows.

        The sparsity term is that of the training windows: rho_hat of a few held-out sources is mostly noise, and the
        term multiplies it by beta.
        """
        assert self.held_out is not None  # noqa: S101
        found = score(self.held_out, params)
        return found.error / 2 / found.count + sparsity, found.fvu


def adam(task: Task, schedule: Callable[[float], float] | None = None) -> None:
    """Minimise on mini-batches (Kingma and Ba 2015), each with its own rho_hat.

    `schedule` gives the share of the learning rate at a share of the run: by default a short rise, then half a cosine.
    """
    state, options, schedule = task.state, task.options, schedule or _schedule
    total = task.epochs * len(task.feed)
    with np.errstate(over="ignore", invalid="ignore"):  # a run that diverges is reported as one, by its cost
        while task.should_continue:
            windows = state.sums[0]
            task.steps.begin()
            for x in task.feed.batches(options.batch_size, seed=options.seed, epoch=state.epoch, skip=state.batch):
                done = (state.epoch * len(task.feed) + windows) / total
                task.steps.take(x, options.learning_rate * schedule(done))
                windows += len(x)
                task.sync_totals()
                task.progress.advance(len(x), **_facts(state))
                task.checkpoint_or_stop()
            task.steps.read()
            windows, *sums = state.sums
            task.close_epoch((sums[0] / windows, sums[1] / windows, sums[2] / windows), state.activity / windows)


def _schedule(done: float) -> float:
    """Return the share of the learning rate at a share of the run: a short rise, then half a cosine."""
    return min(1.0, done / _WARM_UP + _WARM_UP) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def lbfgs(task: Task) -> None:
    """Minimise over all windows at once with SciPy's L-BFGS-B; exact rho_hat, one pass an evaluation."""
    from scipy.optimize import minimize

    state, backend, penalty = task.state, task.backend, task.options.penalty
    if not task.should_continue:
        return
    last: dict[str, Cost] = {}
    in_memory = task.feed.in_memory if one_block(len(task.feed), task.options) else None

    def on_device(flat: NDArray[np.float64]) -> Array:
        return backend.asarray(flat.astype(state.flat.dtype, copy=False))

    def evaluate(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        params = task.params.like(on_device(flat))
        if in_memory is not None:
            sums = summed(backend, params, backend.asarray(in_memory), whole=penalty)
        else:
            sums = task.feed.sum_over(_sums_of, params)
        last["cost"], gradient = finish(backend, params, sums, penalty)
        return last["cost"].total, backend.to_host(gradient).astype(np.float64)

    def after(flat: NDArray[np.float64]) -> None:
        state.flat[:] = on_device(flat)
        cost = last["cost"]
        state.step += 1
        state.sums = [float(len(task.feed)), cost.total, cost.reconstruction, cost.sparsity]
        task.close_epoch((cost.total, cost.reconstruction, cost.sparsity), cost.rho_hat)
        task.progress.advance(1, **_facts(state))
        task.checkpoint_or_stop()
        if not task.should_continue:
            raise StopIteration

    settings = {"maxiter": task.epochs - state.epoch, "maxcor": _CORRECTIONS, "maxfun": 10**9}
    settings |= {"ftol": task.options.tol * 1e-5, "gtol": task.options.tol * 1e-3}  # type: ignore[dict-item]
    begin = backend.to_host(state.flat).astype(np.float64)
    with backend.session():  # once more: SciPy brings a BLAS of its own, which was not there to be limited
        minimize(evaluate, begin, jac=True, method="L-BFGS-B", callback=after, options=settings)


SOLVERS: dict[str, Callable[[Task], None]] = {"adam": adam, "lbfgs": lbfgs}


def one_block(windows: int, options: TrainOptions) -> bool:
    """Whether the activations of all windows are few enough for one step of five matrix products."""
    return windows * options.hidden * np.dtype(options.dtype).itemsize <= _ONE_BLOCK_BYTES


def _sums_of(backend: Backend, x: Array, params: Params) -> Sums:
    return summed(backend, params.on(backend), x)


def _facts(state: State) -> dict[str, str]:
    """Return what a person watches: cost, held-out FVU, mean activity."""
    windows = max(1.0, state.sums[0])
    rows = state.history.rows
    cost, rho_hat = state.sums[1] / windows, float(np.mean(state.activity)) / windows
    if rows and not state.activity.any():
        cost, rho_hat = rows[-1].cost, rows[-1].rho_hat_mean
    fvu = f"{rows[-1].fvu:.3f}" if rows and not math.isnan(rows[-1].fvu) else "-"
    return {"cost": f"{cost:.4g}", "FVU": fvu, "rho_hat": f"{rho_hat:.4f}"}
