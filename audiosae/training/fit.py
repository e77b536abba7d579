"""Fit a sparse autoencoder to the windows of a corpus: hold out, whiten, optimise, score. Writes no files."""

from __future__ import annotations

import hashlib
import math
import platform
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from audiosae.autoencoder.joining import join
from audiosae.autoencoder.model import Model, divided
from audiosae.corpus import known_sources
from audiosae.domain import SECONDS, Domain, Json, domain_to_json, options_of
from audiosae.engine.feed import Feed, score
from audiosae.engine.learn_whitening import learn_whitener
from audiosae.errors import InputError
from audiosae.system.interrupts import gentle_interrupt
from audiosae.system.progress import Progress
from audiosae.system.threads import one_blas_thread
from audiosae.training import memory_estimate
from audiosae.training.checkpoint import State
from audiosae.training.options import TrainOptions, choose_solver, suited_to
from audiosae.training.sampling import check_sample, sampled
from audiosae.training.solvers import SOLVERS, Task, one_block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from audiosae.autoencoder.sae import Params
    from audiosae.autoencoder.whitening import Whitener
    from audiosae.corpus.journal import Record
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.training.history import History, Row

_SCORED_WINDOWS = 2**17
_MIN_HELD_OUT = 10  # windows; the variance of fewer means nothing
_HELD_OUT_SHARE = 10  # with --max-windows, one held-out window per ten


class Checkpoint(Protocol):
    """Saves the state of a run while `fit` works."""

    def begin(
        self, corpus: EngineCorpus, identity: Mapping[str, Json], params: Params, *, number: int = 0
    ) -> State | None:
        """Prepare for the first step; return the state to resume from, with as many parameters, or None to start.

        `number` counts the lengths of windows, which are learned one after the other.
        """

    def save(self, state: State, to_host: Callable[[Any], Any]) -> None:
        """Save a state; `to_host` copies its arrays to host memory."""


@dataclass(frozen=True)
class TrainingResult:
    """Model and history of a training run.

    Attributes
    ----------
    history
        One row per epoch (Adam) or iteration (L-BFGS); with two lengths of windows, first those of whole windows.
    used, skipped
        Records of the sources; sources shorter than a window are skipped.
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
        A corpus with a record of every source, also of those that were skipped.
    options
        If solver and epochs are not given, the number of windows determines them.
    checkpoint
        Saves the state every minute and after every epoch, and loads a saved state to resume. None for a run that
        cannot be resumed.

    Raises
    ------
    InputError
        None of the sources can be used, the memory is too small, or training diverged.
    Interrupted
        Ctrl-C, after the checkpoint was saved; KeyboardInterrupt without a checkpoint.
    """
    progress, backend = progress or Progress(), corpus.backend
    backend.say = progress.say
    options = suited_to(corpus.engine, options, corpus.width)
    with backend.session():  # one session, so that data stays on the GPU between the steps
        options, corpus = check_sample(corpus.domain, options), _usable(corpus)
        given, done = options, list[tuple[Model, Any]]()
        for number, (part, units) in enumerate(_lengths(corpus, options, progress)):
            # each length has the number of epochs for its windows, and the solver of the first
            options = replace(options, hidden=units, epochs=given.epochs)
            training_part, held_out, division = _held_out(part, options)
            _ = backend.keep_fields(part) or backend.keep_fields(held_out)
            progress.stage("whitening", None, "windows")
            whitener = learn_whitener(training_part, options.whitening)
            size = {"windows": len(training_part), "n_components": whitener.n_components}
            memory_estimate.check(memory_estimate.estimate(part.domain, options, **size))
            feeds = _feeds(training_part, held_out, whitener, options)
            options = choose_solver(options, **size, say=progress.say)
            whole = corpus, replace(options, hidden=given.hidden), number
            task = _task(whole, feeds, whitener, options, checkpoint=checkpoint, progress=progress)
            with gentle_interrupt(task.stop_requested), task.running():
                SOLVERS[options.solver](task)
                task.checkpoint()
            task.stop_if_requested()  # a Ctrl-C after the last step
            sources = _sources(part, training_part, held_out, division)
            done.append((_best_model(task, part.domain, whitener, sources), task.state.history.rows))
            del task, feeds  # and their windows, before those of the next length
        model = done[0][0] if len(done) == 1 else join(corpus.domain, [model for model, _ in reversed(done)])
    rows = [row for _, rows in done for row in rows]
    return TrainingResult(model, rows, corpus.only(corpus.used).records, corpus.skipped)


def check_lengths(domain: Domain, options: TrainOptions) -> None:
    """Raise InputError if a model with these options cannot have several lengths of windows, as the domain demands."""
    lengths, how = len(domain.crops), options.whitening
    if not lengths:
        return
    if not how.full or how.contrast or how.remove_mean or how.squash:
        raise InputError(
            "windows of two lengths need --whiten pca or zca, --decoder linear, and neither --contrast nor "
            f"--remove-mean; found --whiten {options.whiten}, --decoder {options.decoder}"
            f"{', --contrast' if how.contrast else ''}{', --remove-mean' if how.remove_mean else ''}"
        )
    if options.hidden < lengths:
        raise InputError(
            f"--hidden {options.hidden}: wanted at least {lengths} units, for windows of {lengths} lengths"
        )


def with_short_skipped(corpus: EngineCorpus) -> list[Record]:
    """Return the records of a corpus; sources shorter than a window are marked as skipped."""
    records = zip(corpus.records, corpus.windows_per_record(), strict=True)
    return [_short(corpus.domain, r) if r.status == "used" and not windows else r for r, windows in records]


def _short(domain: Domain, record: Record) -> Record:
    shape, window = (" x ".join(map(str, sizes)) for sizes in (record.shape, domain.window))
    extent = f"{record.extent:.3g} {domain.unit}, " if domain.unit == SECONDS else ""
    reason = f"shorter than a window: {extent}a field of {shape}, wanted {window}"
    return replace(record, status="skipped", reason=reason)


def sources_digest(records: Sequence[Record]) -> str:
    """Return a digest of the fields of the used sources, in order."""
    used = "\n".join(r.digest + str(r.ranges) for r in records if r.status == "used")
    return hashlib.blake2b(used.encode(), digest_size=16).hexdigest()


def provenance(
    options: TrainOptions,
    sources: dict[str, Json],
    history: History,
    *,
    last: dict[str, Json],
    fvu: float,
    fvu_train: float | None = None,
    held_out: bool = False,
) -> dict[str, Json]:
    """Return the facts of a model that describe its training.

    Parameters
    ----------
    sources
        Number, extent and digest of the sources, and how windows were held out.
    last
        Values of the last epoch or iteration.
    fvu, fvu_train
        Fraction of variance unexplained of the held-out windows, and of the training windows; the same if None.
    held_out
        Whether there were held-out windows.
    """
    return {
        "options": options.to_json(),
        "seed": options.seed,
        "versions": {
            **{name: version(name) for name in ("audiosae", "numpy", "scipy")},
            "python": platform.python_version(),
        },
        "sources": sources,
        "fvu": fvu,
        "fvu_train": fvu if fvu_train is None else fvu_train,
        "held_out": held_out,
        "history": last,
        "best_epoch": history.best_epoch,
    }


def _usable(corpus: EngineCorpus) -> EngineCorpus:
    """Mark short sources as skipped; raise InputError if no source can be used."""
    records = with_short_skipped(corpus)
    if not len(corpus):
        reasons = ", ".join(sorted({r.reason.split(":")[0] for r in records}))
        first = next(r for r in records if r.reason)
        raise InputError(
            f"none of {len(records)} sources can be used ({reasons}); the first is {first.file}: {first.reason}"
        )
    return corpus.part(records)


def _lengths(corpus: EngineCorpus, options: TrainOptions, progress: Progress) -> Iterator[tuple[EngineCorpus, int]]:
    """Yield the corpus with each length of windows, and the number of its units; whole windows first."""
    lengths = len(corpus.domain.crops)
    if not lengths:
        yield corpus, options.hidden
        return
    for number, units in reversed([*enumerate(divided(options.hidden, lengths))]):
        domain = corpus.domain.of_crop(number)
        window = " x ".join(map(str, domain.window))
        progress.say(f"learning {units} of {options.hidden} units from windows of {window}")
        yield corpus.seen_by(domain), units


def _held_out(corpus: EngineCorpus, options: TrainOptions) -> tuple[EngineCorpus, EngineCorpus, str]:
    """Return the training part, the held-out windows, and a description of the division."""
    training_part, held_out, division = corpus.split(options.seed)
    training_part = sampled(training_part, options)
    if 0 < options.max_windows < len(corpus):
        held_out = held_out.sample(max(1, options.max_windows // _HELD_OUT_SHARE), options.seed)
    if not len(training_part) or len(held_out) < _MIN_HELD_OUT:
        return training_part if len(training_part) else corpus, corpus.part([]), "none, too few windows"
    return training_part, held_out, division


def _feeds(
    training_part: EngineCorpus, held_out: EngineCorpus, whitener: Whitener, options: TrainOptions
) -> tuple[Feed, Feed | None]:
    """Return the feeds of both parts. About a tenth is held out, for which an eighth of the memory suffices."""
    memory, collect = options.memory * memory_estimate.MIB, one_block(len(training_part), options)
    training_feed, held_out_feed = (
        Feed(part, whitener, dtype=options.dtype, memory=limit, collect=collect)
        for part, limit in ((training_part, memory), (held_out, memory // 8))
    )
    return training_feed, held_out_feed if len(held_out) else None


def _task(
    whole: tuple[EngineCorpus, TrainOptions, int],
    feeds: tuple[Feed, Feed | None],
    whitener: Whitener,
    options: TrainOptions,
    *,
    checkpoint: Checkpoint | None,
    progress: Progress,
) -> Task:
    """Return the task for one length of windows: the one of this number of the `whole` run with its own options."""
    (corpus, every, number), params = whole, options.start(whitener)
    stored = checkpoint.begin(corpus, _identity(every, corpus), params, number=number) if checkpoint else None
    if stored:
        progress.say(f"resumed at epoch {stored.epoch}, step {stored.step}")
    state, save = stored or State.fresh(params.flat, options.hidden), checkpoint.save if checkpoint else None
    return Task(corpus.backend, *feeds, params, options, state, save=save, progress=progress)


def _identity(options: TrainOptions, corpus: EngineCorpus) -> dict[str, Json]:
    """Return the facts that must be the same to resume from a checkpoint."""
    return {
        "domain": domain_to_json(corpus.domain)["name"],
        **{f"--set {key}": value for key, value in options_of(corpus.domain).items()},
        **options.to_json(),
        "sources": sources_digest(corpus.records),
    }


def _sources(
    corpus: EngineCorpus, training_part: EngineCorpus, held_out: EngineCorpus, division: str
) -> dict[str, Json]:
    used = corpus.only(corpus.used).records
    in_neither = sum(corpus.windows_per_record()) - len(training_part) - len(held_out)
    return {
        "used": len(used),
        "skipped": len(corpus.skipped),
        "digest": sources_digest(used),
        "digests": known_sources.text_of(used),
        "windows": len(training_part),
        "windows_held_out": len(held_out),
        "windows_in_neither": max(0, in_neither),
        "windows_left_out": corpus.windows_left_out(),
        "held_out": division,
        "extent": round(sum(record.extent for record in used), 3),
    }


def _best_model(task: Task, domain: Domain, whitener: Whitener, sources: dict[str, Json]) -> Model:
    options, history = task.options, task.state.history
    params = task.params.like(task.state.best)
    inside = score(task.feed.sampled(_SCORED_WINDOWS, options.memory * memory_estimate.MIB // 8), params)
    if not history.rows:
        raise InputError(f"training ended before its first step; --tol {options.tol:g} is too large")
    fvu = history.best_fvu if task.held_out else inside.fvu
    last = {key: value for key, value in vars(history.rows[-1]).items() if key != "seconds"}
    last["fvu"] = None if math.isnan(last["fvu"]) else last["fvu"]
    held_out = task.held_out is not None
    facts = provenance(options, sources, history, last=last, fvu=fvu, fvu_train=inside.fvu, held_out=held_out)
    return Model.create(domain, whitener, params, inside.rho_hat, facts)
