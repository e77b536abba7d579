"""Fit a sparse autoencoder to the windows of a corpus: hold out, whiten, optimise, score. No folder is touched."""

from __future__ import annotations

import hashlib
import math
import platform
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from audiosae.autoencoder.model import Model
from audiosae.domain import SECONDS, domain_to_json, options_of
from audiosae.engine.feed import Feed, score
from audiosae.engine.learn_whitening import learn_whitener
from audiosae.errors import InputError
from audiosae.system.interrupts import gentle_interrupt
from audiosae.system.progress import Progress
from audiosae.system.threads import one_blas_thread
from audiosae.training import memory_estimate
from audiosae.training.checkpoint import State
from audiosae.training.options import choose_solver, suited_to
from audiosae.training.solvers import SOLVERS, Task, one_block

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from audiosae.autoencoder.whitening import Whitener
    from audiosae.corpus.journal import Record
    from audiosae.domain import Domain, Json
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.training.history import Row
    from audiosae.training.options import TrainOptions

_SCORED_WINDOWS = 2**17
_FEWEST_HELD_OUT = 10  # windows; the variance of fewer is no measure
_SHARE_HELD_OUT = 10  # one held-out window to ten of --max-windows


class Checkpoint(Protocol):
    """Keeps the state of a run while `fit` works."""

    def begin(self, corpus: EngineCorpus, identity: Mapping[str, Json], parameters: int) -> State | None:
        """Prepare for the first step; return the state of that many parameters to resume from, None to start anew."""

    def save(self, state: State, to_host: Callable[[Any], Any]) -> None:
        """Keep a state; `to_host` brings its arrays to the computer's memory."""


@dataclass(frozen=True)
class TrainingResult:
    """What `fit` learned.

    Attributes
    ----------
    history
        A row per epoch (Adam) or iteration (L-BFGS).
    used, skipped
        Records of the sources; those without a whole window are skipped.
    """

    model: Model
    history: Sequence[Row]
    used: Sequence[Record]
    skipped: Sequence[Record]


@one_blas_thread()
def fit(
    corpus: EngineCorpus,
    options: TrainOptions,
    *,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Fit a model to a corpus.

    Parameters
    ----------
    corpus
        With a record of every source that was read.
    options
        Solver and epochs that are left open are chosen by the number of windows.
    checkpoint
        Keeps the state every minute and after every epoch; a run that it kept is resumed. Without one, an interrupted
        fit cannot be resumed.

    Raises
    ------
    InputError
        None of the sources can be used, the memory is too small, or training diverged.
    Interrupted
        Ctrl-C, after the checkpoint was written; without a checkpoint it is KeyboardInterrupt.
    """
    progress, backend = progress or Progress(), corpus.backend
    backend.say = progress.say
    options = suited_to(corpus.engine, options, corpus.width)
    with backend.session():  # one session for everything: what is on a GPU by then stays there
        corpus = _usable(corpus)
        training_part, held_out, division = _held_out(corpus, options)
        _ = backend.keep_fields(corpus) or backend.keep_fields(held_out)
        progress.stage("whitening", None, "windows")
        whitener = learn_whitener(training_part, options.whitening)
        count, n_components = len(training_part), whitener.n_components
        memory_estimate.check(
            memory_estimate.estimate(corpus.domain, options, windows=count, n_components=n_components)
        )
        feeds = _feeds(training_part, held_out, whitener, options)
        options = choose_solver(options, count, n_components, progress.say)
        task = _task(corpus, feeds, whitener, options, checkpoint=checkpoint, progress=progress)
        progress.stage("training", task.total, "windows" if options.solver == "adam" else "iterations")
        progress.advance(task.done)
        with gentle_interrupt(task.stop_requested), task.running():
            SOLVERS[options.solver](task)
            task.checkpoint()
        sources = _sources(corpus, training_part, held_out, division)
        model = _model(task, corpus.domain, whitener, provenance(options, sources))
    return TrainingResult(model, task.state.history.rows, corpus.only(corpus.used).records, corpus.skipped)


def with_short_skipped(corpus: EngineCorpus) -> list[Record]:
    """Return the records of a corpus; those without a whole window as skipped."""
    records = zip(corpus.records, corpus.windows_per_record(), strict=True)
    return [_too_short(corpus.domain, r) if r.status == "used" and not n else r for r, n in records]


def sources_digest(records: Sequence[Record]) -> str:
    """Return a digest of the fields of the sources that are used, in order."""
    used = [r.digest + str(r.ranges) for r in records if r.status == "used"]
    return hashlib.blake2b("\n".join(used).encode(), digest_size=16).hexdigest()


def provenance(options: TrainOptions, sources: dict[str, Json]) -> dict[str, Any]:
    """Return the facts of a model that say how it was made."""
    versions: dict[str, Json] = {name: version(name) for name in ("audiosae", "numpy", "scipy")}
    versions["python"] = platform.python_version()
    return {"options": options.to_json(), "seed": options.seed, "versions": versions, "sources": sources}


def _usable(corpus: EngineCorpus) -> EngineCorpus:
    """Mark what is too short as skipped; raise InputError when nothing is left."""
    marked = with_short_skipped(corpus)
    if not len(corpus):
        reasons = ", ".join(sorted({r.reason.split(":")[0] for r in marked}))
        first = next(r for r in marked if r.reason)
        raise InputError(
            f"none of {len(marked)} sources can be used ({reasons}); the first is {first.file}: {first.reason}"
        )
    return corpus.part(marked)


def _too_short(domain: Domain, record: Record) -> Record:
    shape, wanted = (" x ".join(map(str, sizes)) for sizes in (record.shape, domain.window))
    extent = f"{record.extent:.3g} {domain.unit}, " if domain.unit == SECONDS else ""
    return replace(
        record, status="skipped", reason=f"shorter than a window: {extent}a field of {shape}, wanted {wanted}"
    )


def _held_out(corpus: EngineCorpus, options: TrainOptions) -> tuple[EngineCorpus, EngineCorpus, str]:
    """Return the training part, the held-out windows, and how they were divided in words."""
    training_part, held_out, division = corpus.split(options.seed)
    if options.max_windows:
        training_part = training_part.sample(options.max_windows, options.seed)
        held_out = held_out.sample(max(1, options.max_windows // _SHARE_HELD_OUT), options.seed)
    if not len(training_part) or len(held_out) < _FEWEST_HELD_OUT:
        return training_part if len(training_part) else corpus, corpus.part([]), "nothing: too few windows"
    return training_part, held_out, division


def _feeds(
    training_part: EngineCorpus, held_out: EngineCorpus, whitener: Whitener, options: TrainOptions
) -> tuple[Feed, Feed | None]:
    """Return the whitened windows; the held-out ones are a tenth, for which an eighth of the memory suffices."""
    memory, gathered = options.memory * memory_estimate.MIB, one_block(len(training_part), options)
    feed, rest = (
        Feed(part, whitener, dtype=options.dtype, memory=most, gathered=gathered)
        for part, most in ((training_part, memory), (held_out, memory // 8))
    )
    return feed, rest if len(held_out) else None


def _task(
    corpus: EngineCorpus,
    feeds: tuple[Feed, Feed | None],
    whitener: Whitener,
    options: TrainOptions,
    *,
    checkpoint: Checkpoint | None,
    progress: Progress,
) -> Task:
    """Return the solver's task, from random parameters or from those of a checkpoint."""
    params = options.start(whitener)
    stored = checkpoint.begin(corpus, _identity(options, corpus), params.flat.size) if checkpoint else None
    if stored:
        progress.say(f"resumed at epoch {stored.epoch}, step {stored.step}")
    state = stored or State.fresh(params.flat, options.hidden)
    save = None if checkpoint is None else checkpoint.save
    return Task(corpus.backend, *feeds, params, options, state, save=save, progress=progress)


def _identity(options: TrainOptions, corpus: EngineCorpus) -> dict[str, Json]:
    """Return what must be the same for a checkpoint to be resumed."""
    settings = {f"--set {key}": value for key, value in options_of(corpus.domain).items()}
    name = domain_to_json(corpus.domain)["name"]
    return {"domain": name, **settings, **options.to_json(), "sources": sources_digest(corpus.records)}


def _sources(
    corpus: EngineCorpus, training_part: EngineCorpus, held_out: EngineCorpus, division: str
) -> dict[str, Json]:
    used = corpus.only(corpus.used).records
    return {
        "used": len(used),
        "skipped": len(corpus.skipped),
        "digest": sources_digest(used),
        "windows": len(training_part),
        "windows_held_out": len(held_out),
        "held_out": division,
        "extent": round(sum(record.extent for record in used), 3),
    }


def _model(task: Task, domain: Domain, whitener: Whitener, facts: dict[str, Json]) -> Model:
    """Return the model with the best parameters, scored once more."""
    options, state = task.options, task.state
    params = task.params.like(state.best)
    inside = score(task.feed.sampled(_SCORED_WINDOWS, options.memory * memory_estimate.MIB // 8), params)
    fvu = score(task.held_out, params).fvu if task.held_out else inside.fvu
    if not state.history.rows:
        raise InputError(f"training ended before its first step; --tol {options.tol:g} is too large")
    row = {key: value for key, value in vars(state.history.rows[-1]).items() if key != "seconds"}
    row["fvu"] = None if math.isnan(state.history.rows[-1].fvu) else row["fvu"]
    facts |= {"fvu": fvu, "fvu_train": inside.fvu, "held_out": task.held_out is not None, "history": row}
    facts["best_epoch"] = state.history.best_epoch
    return Model.create(domain, whitener, params, inside.rho_hat, facts)
