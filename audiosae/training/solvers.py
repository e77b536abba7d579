"""Solvers: Adam on shuffled mini-batches, and L-BFGS on all windows at once. Both save checkpoints and can resume."""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.model import DEAD_SHARE
from audiosae.autoencoder.sae import Cost, Params, Sums, finish
from audiosae.engine.feed import Feed, score
from audiosae.errors import InputError, Interrupted
from audiosae.system.progress import Progress
from audiosae.training.history import Row
from audiosae.training.steps import Steps, summed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from audiosae.backends import Backend
    from audiosae.training.checkpoint import State
    from audiosae.training.options import TrainOptions

    Array = Any

_CHECKPOINT_SECONDS = 60.0
_AT_MOST_EVERY = 1.0  # seconds between the checkpoints of short epochs
_PATIENCE, _PATIENCE_LBFGS = 10, 50  # least number of epochs without improvement; L-BFGS starts on a plateau
_PATIENCE_SHARE = 4  # and at least the number of epochs over this
_WARM_UP = 0.02  # share of the run in which Adam's learning rate rises: its first steps use the signs of gradients only
_ONE_BLOCK_BYTES = 2**26  # up to this size, all windows are one batch, which needs five matrix products instead of six
_CORRECTIONS = 20  # memory of L-BFGS; SciPy's default of 10 needs a third more iterations here


@dataclass
class Task:
    """Windows, options and state of a solver.

    Attributes
    ----------
    feed, held_out
        Training windows, and held-out windows or None.
    params
        Shapes and types of the parameters; while the task is running, a view of the state's flat array.
    state
        State of the training; on the backend's device while the task is running.
    epochs
        Largest number of epochs (Adam) or iterations (L-BFGS); 0 for that of the options.
    save
        Saves the state, given a function that copies arrays to host memory; None for no checkpoints.
    stop_requested
        Set by Ctrl-C.
    steps
        Steps of Adam, which have the current totals of the epoch.
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
    steps: Steps | None = None
    _since: float = 0.0  # time of the last update of `state.seconds`, and of the last checkpoint
    _saved: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start progress and clocks; within the context, state and parameters are on the backend's device."""
        self.epochs = self.epochs or self.options.epochs
        per_epoch, done, unit = 1, 0.0, "iterations"
        if self.options.solver == "adam":
            per_epoch, done, unit = len(self.feed), self.state.sums[0], "windows"
        self.progress.stage("training", self.epochs * per_epoch, unit)
        self.progress.advance(self.state.epoch * per_epoch + done)
        self._since = self._saved = time.monotonic()
        with self.backend.session():
            self.state.move(self.backend.asarray)
            self.params = self.params.like(self.state.flat)
            try:
                yield
            finally:
                self.state.move(self.backend.to_host)
                self.params = self.params.like(self.state.flat)

    def checkpoint(self, *, after: float = 0.0) -> None:
        """Save the state, unless it was saved less than `after` seconds ago."""
        now = time.monotonic()
        if now - self._saved >= after:
            self.state.seconds += now - self._since
            self._since = self._saved = now
            if self.steps:
                self.steps.read()
            if self.save is not None:
                self.save(self.state, self.backend.to_host)

    def checkpoint_or_stop(self) -> None:
        """Save the state every minute; raise Interrupted, or KeyboardInterrupt without checkpoints, when requested."""
        stopping = self.stop_requested.is_set()
        self.checkpoint(after=0.0 if stopping else _CHECKPOINT_SECONDS)
        if stopping:
            self.stop_if_requested()

    def stop_if_requested(self) -> None:
        """Raise Interrupted, or KeyboardInterrupt without checkpoints, if it was requested; a checkpoint was saved."""
        if self.stop_requested.is_set():
            if self.save is None:
                raise KeyboardInterrupt
            raise Interrupted("a checkpoint was saved: resume with the same command and --resume")

    def close_epoch(self, cost: tuple[float, float, float], rho_hat: Array) -> None:
        """Add an epoch to the history; raise InputError if the cost diverged."""
        state, options = self.state, self.options
        if not all(map(math.isfinite, cost)):
            raise InputError(
                f"training diverged in epoch {state.epoch + 1}: the cost is {cost[0]:g}; lower --learning-rate "
                f"({options.learning_rate:g}), --beta ({options.beta:g}) or --weight-decay ({options.weight_decay:g})"
            )
        state.epoch += 1
        held_out_cost, fvu = cost[0], math.nan
        if self.held_out:
            # use the sparsity term of the training windows: rho_hat of few held-out sources is noisy, and beta is large
            scores = score(self.held_out, self.params.like(state.flat))
            held_out_cost, fvu = scores.error / 2 / scores.count + cost[2], scores.fvu
        if state.history.update_best(held_out_cost, state.epoch, options.tol):
            state.best = state.flat.copy()
        seconds = state.seconds + time.monotonic() - self._since
        dead = int((rho_hat < DEAD_SHARE * options.rho).sum())
        state.history.rows.append(
            Row(state.step, state.epoch, int(state.sums[0]), *cost, float(rho_hat.mean()), dead, seconds, fvu)
        )
        state.batch, state.sums, state.activity = 0, [0.0] * 4, np.zeros_like(state.activity)
        if self.steps:
            self.steps.begin()
        self.checkpoint(after=_AT_MOST_EVERY)

    @property
    def should_continue(self) -> bool:
        """Whether epochs are left and the held-out cost has improved recently (early stopping)."""
        patience = max(_PATIENCE_LBFGS if self.options.solver == "lbfgs" else _PATIENCE, self.epochs // _PATIENCE_SHARE)
        return self.state.epoch < self.epochs and self.state.history.epochs_without_improvement < patience


def _warm_up_and_cosine(done: float) -> float:
    return min(1.0, done / _WARM_UP + _WARM_UP) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def adam(task: Task, schedule: Callable[[float], float] = _warm_up_and_cosine) -> None:
    """Minimise the cost on mini-batches (Kingma and Ba 2015), each with its own rho_hat.

    `schedule` returns the factor of the learning rate at a share of the run: by default a linear warm-up, then cosine
    decay.
    """
    state, options = task.state, task.options
    steps = task.steps = Steps(task.backend, task.params, state, options.penalty)
    total, synced = task.epochs * len(task.feed), 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # `close_epoch` reports divergence
        while task.should_continue:
            windows = state.sums[0]
            steps.begin()
            for x in task.feed.batches(options.batch_size, seed=options.seed, epoch=state.epoch, skip=state.batch):
                done = (state.epoch * len(task.feed) + windows) / total
                steps.take(x, options.learning_rate * schedule(done))
                windows += len(x)
                if time.monotonic() - synced >= task.backend.sync_interval:
                    steps.read()
                    synced = time.monotonic()
                task.progress.advance(len(x), **_progress_values(state))
                task.checkpoint_or_stop()
            steps.read()
            windows, *sums = state.sums
            task.close_epoch((sums[0] / windows, sums[1] / windows, sums[2] / windows), state.activity / windows)


def lbfgs(task: Task) -> None:
    """Minimise the cost of all windows with SciPy's L-BFGS-B: exact rho_hat, one pass per evaluation."""
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
        task.progress.advance(1, **_progress_values(state))
        task.checkpoint_or_stop()
        if not task.should_continue:
            raise StopIteration

    settings = {
        "maxiter": task.epochs - state.epoch,
        "maxfun": 10**9,
        "maxcor": _CORRECTIONS,
        "ftol": task.options.tol * 1e-5,
        "gtol": task.options.tol * 1e-3,
    }
    with backend.session():  # again, to limit the threads of SciPy's own BLAS, which was loaded just now
        flat = backend.to_host(state.flat).astype(np.float64)
        minimize(evaluate, flat, jac=True, method="L-BFGS-B", callback=after, options=settings)


SOLVERS: dict[str, Callable[[Task], None]] = {"adam": adam, "lbfgs": lbfgs}


def one_block(windows: int, options: TrainOptions) -> bool:
    """Whether the activations of all windows are small enough for one batch."""
    return windows * options.hidden * np.dtype(options.dtype).itemsize <= _ONE_BLOCK_BYTES


def _sums_of(backend: Backend, x: Array, params: Params) -> Sums:
    return summed(backend, params.on(backend), x)


def _progress_values(state: State) -> dict[str, str]:
    windows = max(1.0, state.sums[0])
    rows = state.history.rows
    cost, rho_hat = state.sums[1] / windows, float(np.mean(state.activity)) / windows
    if rows and not state.activity.any():
        cost, rho_hat = rows[-1].cost, rows[-1].rho_hat_mean
    fvu = f"{rows[-1].fvu:.3f}" if rows and not math.isnan(rows[-1].fvu) else "-"
    return {"cost": f"{cost:.4g}", "FVU": fvu, "rho_hat": f"{rho_hat:.4f}"}
