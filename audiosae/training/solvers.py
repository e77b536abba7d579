"""Adam on shuffled mini-batches, and L-BFGS on all windows at once; both can be stopped and taken up again."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.model import DEAD_SHARE
from audiosae.autoencoder.sae import finish
from audiosae.engine.feed import Feed, score
from audiosae.errors import InputError, Interrupted
from audiosae.training.history import Row
from audiosae.training.steps import Steps, summed

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from numpy.typing import NDArray

    from audiosae.autoencoder.sae import Cost, Params, Sums
    from audiosae.backends import Backend
    from audiosae.system.progress import Progress
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
    feed, held
        Training windows, held-out windows (None when there are none).
    params
        A view onto the state's parameters.
    epochs
        Most epochs (Adam) or iterations (L-BFGS).
    stop_requested
        Set when the run is asked to stop.
    """

    backend: Backend
    feed: Feed
    held: Feed | None
    params: Params
    options: TrainOptions
    epochs: int
    state: State
    save: Callable[[], None]
    stop_requested: threading.Event
    progress: Progress
    _since: float = 0.0
    _saved: float = 0.0
    _synced: float = 0.0

    @cached_property
    def steps(self) -> Steps:
        """Steps of Adam."""
        return Steps(self.backend, self.params, self.state, self.options.penalty)

    def sync_totals(self) -> None:
        """Between Adam steps: read the running totals, at most once per `sync_interval`."""
        if time.monotonic() - self._synced >= self.backend.sync_interval:
            self.steps.read()
            self._synced = time.monotonic()

    def begin(self) -> None:
        """Start the clocks."""
        self._since = self._saved = time.monotonic()

    def checkpoint(self, *, after: float = 0.0) -> None:
        """Write the state, unless that was done less than `after` seconds ago."""
        now = time.monotonic()
        if now - self._saved >= after:
            self.state.seconds += now - self._since
            self._since = self._saved = now
            if "steps" in vars(self):
                self.steps.read()
            self.save()

    def checkpoint_or_stop(self) -> None:
        """Between steps: write a checkpoint every minute; stop when requested."""
        if self.stop_requested.is_set():
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
        held_cost, fvu = self._held_cost(params, cost[2]) if self.held else (cost[0], math.nan)
        if state.history.update_best(held_cost, state.epoch, options.tol):
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

    def _held_cost(self, params: Params, sparsity: float) -> tuple[float, float]:
        """Return the cost and the fraction of variance unexplained on held-out windows.

        The sparsity term is that of the training windows: rho_hat of a few held-out sources is mostly noise, and the
        term multiplies it by beta.
        """
        assert self.held is not None  # noqa: S101
        found = score(self.held, params)
        return found.error / 2 / found.count + sparsity, found.fvu


def adam(task: Task) -> None:
    """Minimise on mini-batches (Kingma and Ba 2015), each with its own rho_hat; the rate falls along a cosine to 0."""
    with np.errstate(over="ignore", invalid="ignore"):  # a run that diverges is told as one, by its cost
        while task.should_continue:
            adam_epoch(task, _schedule)


def adam_epoch(task: Task, schedule: Callable[[float], float]) -> None:
    """Pass once over the windows; `schedule` gives the share of the learning rate at a share of the run."""
    state, options = task.state, task.options
    total, windows = task.epochs * len(task.feed), state.sums[0]
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
    cost = tuple(s / windows for s in sums)
    task.close_epoch(cost, state.activity / windows)  # type: ignore[arg-type]


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
    held = task.feed.held if one_block(len(task.feed), task.options) else None

    def on_device(flat: NDArray[np.float64]) -> Array:
        return backend.asarray(flat.astype(state.flat.dtype, copy=False))

    def evaluate(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        params = task.params.like(on_device(flat))
        if held is not None:
            sums = summed(backend, params, backend.asarray(held), whole=penalty)
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
