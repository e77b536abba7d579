"""Training: resolve the domain, ingest, hold out, whiten, optimise, write."""

from __future__ import annotations

import hashlib
import math
import platform
import threading
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING

from audiosae.autoencoder.model import FILE, Model
from audiosae.autoencoder.sae import start
from audiosae.corpus.journal import changed_since, told_of, write_journal
from audiosae.corpus.windows import Corpus
from audiosae.domain import domain_to_json, options_of, resolved
from audiosae.engine import LocalEngine
from audiosae.engine.feed import Feed, score
from audiosae.engine.whitening import learn_whitener
from audiosae.errors import InputError
from audiosae.system.interrupts import gentle_interrupt
from audiosae.system.progress import Progress
from audiosae.system.threads import one_blas_thread
from audiosae.training import budget, checkpoint, solvers
from audiosae.training.options import choose_solver, full_batch
from audiosae.training.runfolder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audiosae.autoencoder.whitening import Whitener
    from audiosae.backends import Backend
    from audiosae.corpus.journal import Record
    from audiosae.corpus.sources import Source
    from audiosae.domain import Domain, Json
    from audiosae.engine import Engine
    from audiosae.training.options import TrainOptions

_SCORED_WINDOWS = 2**17
_FEWEST_HELD = 10  # windows; the variance of fewer is no measure
_SHARE_HELD = 10  # one held-out window to ten of --max-windows


@dataclass(frozen=True)
class Outcome:
    """Result of a training run.

    Attributes
    ----------
    model, state
        The model, and the solver's state with its history.
    summary
        What ``train --json`` prints.
    skipped
        The sources that were not used.
    used
        Those that were.
    """

    model: Model
    state: checkpoint.State
    summary: dict[str, Json]
    skipped: list[Record]
    used: list[Record]


@one_blas_thread()
def train(
    domain: Domain,
    sources: Sequence[Source],
    out: Path,
    options: TrainOptions,
    backend: Backend,
    *,
    cache: Path,
    workers: int,
    resume: bool = False,
    progress: Progress | None = None,
    engine: Engine | None = None,
) -> Outcome:
    """Learn a model of the sources and write it, its history and its journal to the folder `out`.

    Parameters
    ----------
    domain
        Its open options are resolved from the sources.
    sources
        What `audiosae.corpus.sources.scan` found.
    out
        The run folder; what an earlier run left there is moved aside, not lost.
    options, backend
        What is learned, and where it is computed.
    cache
        Folder for fields.
    workers
        Decoding processes; the model does not depend on their number.
    resume
        Go on from the folder's checkpoint.
    progress
        Who is told.
    engine
        Where passes over all windows are made: here, unless one is given.

    Raises
    ------
    InputError
        No source can be used, or the folder cannot be written.
    Interrupted
        Asked to stop (Ctrl-C); the checkpoint was written.
    """
    progress, began, engine = progress or Progress(), time.monotonic(), engine or LocalEngine(backend)
    backend.say = progress.say
    domain = resolved(domain, [source.path for source in sources])
    if engine.remote:
        options = full_batch(options, engine.name, math.prod(domain.window))
    with RunFolder(out, resume=resume, say=progress.say) as folder:
        progress.stage("reading", len(sources), "files")
        budget.check(budget.least(domain, options))
        records = engine.ingest(
            domain, sources, cache=cache, workers=workers, done=lambda _: progress.advance(1), say=progress.say
        )
        corpus, records = _usable(domain, records)
        kept, held, how = corpus.split(options.seed)
        if options.max_windows:
            kept = kept.sample(options.max_windows, options.seed)
            held = held.sample(max(1, options.max_windows // _SHARE_HELD), options.seed)
        if not len(kept) or len(held) < _FEWEST_HELD:
            kept, held, how = kept if len(kept) else corpus, Corpus(domain, []), "nothing: too few windows"
        progress.stage("whitening", None, "windows")
        whitener = learn_whitener(
            kept, engine, kind=options.whiten, power=options.whiten_power, keep=options.keep, contrast=options.contrast,
            remove_mean=options.remove_mean, squash=options.decoder == "sigmoid",
        )  # fmt: skip
        budget.check(budget.estimate(domain, options, windows=len(kept), n_components=whitener.n_components))
        bound = options.memory * budget.MIB  # what is held out is a tenth: an eighth of the memory does where all fits
        how_held = ((kept, bound), (held, bound // 8))
        here = solvers.one_block(len(kept), options)
        feeds = [
            Feed(part, whitener, backend, dtype=options.dtype, memory=most, engine=engine, gathered=here)
            for part, most in how_held
        ]
        options = choose_solver(options, len(kept), whitener.n_components, progress.say)
        folder.keep()
        journal, identity = out / "journal.csv", _identity(domain, options, records)
        changed = changed_since(journal, records) if resume else None
        task = _task(options, backend, feeds, out, identity=identity, whitener=whitener, progress=progress,
                     changed=changed)  # fmt: skip
        write_journal(journal, zip(records, corpus.windows_per_record(), strict=True), unit=domain.unit)
        _solve(task)
        model = _model(task, domain, whitener, _provenance(options, records, kept, held, how))
        model.save(out / FILE)
        task.state.history.write(out / "history.csv")
    state = task.state
    del task, feeds  # what they hold on a device is free for others
    backend.release()
    used, skipped = ([r for r in records if (r.status == "used") == wanted] for wanted in (True, False))
    summary = _summary(model, records, out, time.monotonic() - began)
    return Outcome(model, state, summary, skipped, used)


def _usable(domain: Domain, records: list[Record]) -> tuple[Corpus, list[Record]]:
    """Mark what is too short as skipped; refuse when nothing is left."""
    counts = Corpus(domain, records).windows_per_record()
    marked = [too_short(domain, r) if r.status == "used" and not n else r for r, n in zip(records, counts, strict=True)]
    if not any(counts):
        reasons = ", ".join(sorted({r.reason.split(":")[0] for r in marked}))
        first = next(r for r in marked if r.reason)
        raise InputError(
            f"none of {len(marked)} sources can be used ({reasons}); the first is {first.file}: {first.reason}"
        )
    return Corpus(domain, marked), marked


def too_short(domain: Domain, record: Record) -> Record:
    """Return a record of a source without a whole window as one that was skipped."""
    found = " x ".join(map(str, record.shape[: len(record.shape)]))
    wanted = " x ".join(map(str, domain.window))
    extent = f"{record.extent:.3g} {domain.unit}, " if domain.unit == "s" else ""
    return replace(
        record, status="skipped", reason=f"shorter than a window: {extent}a field of {found}, wanted {wanted}"
    )


def _task(
    options: TrainOptions, backend: Backend, feeds: list[Feed], out: Path, *, identity: dict[str, Json],
    whitener: Whitener, progress: Progress, changed: str | None,
) -> solvers.Task:  # fmt: skip
    """Prepare a solver's work, from the start, or from a checkpoint where it is known what has changed since."""
    feed, held = feeds
    path = out / checkpoint.FILE
    params = start(
        options.hidden, whitener.n_components, seed=options.seed, rho=options.rho, activation=options.activation,
        decoder=options.decoder, dtype=options.dtype, spread=whitener.spread,
    )  # fmt: skip
    state = checkpoint.State.fresh(params.flat, options.hidden)
    if changed is not None and path.exists():
        state = checkpoint.State.load(path, identity, changed=changed)
        if state.flat.shape != params.flat.shape:
            raise InputError(f"{path} is damaged: {state.flat.size} parameters, wanted {params.flat.size}")
        progress.say(f"resumed at epoch {state.epoch}, step {state.step}")
    state.move(backend.asarray)
    return solvers.Task(
        backend, feed, held if len(held) else None, params.like(state.flat), options, options.epochs, state,
        lambda: state.save(path, identity, backend.to_host), threading.Event(), progress,
    )  # fmt: skip


def _solve(task: solvers.Task) -> None:
    """Run the solver; Ctrl-C lets the step finish and writes the checkpoint."""
    adam = task.options.solver == "adam"
    total = task.epochs * (len(task.feed) if adam else 1)
    task.progress.stage("training", total, "windows" if adam else "iterations")
    done = task.state.epoch * (len(task.feed) if adam else 1) + (task.state.sums[0] if adam else 0)
    task.progress.advance(done)
    with gentle_interrupt(task.stop_requested), task.backend.session():
        task.begin()
        (solvers.adam if adam else solvers.lbfgs)(task)
        task.checkpoint()
        task.state.move(task.backend.to_host)


def _model(task: solvers.Task, domain: Domain, whitener: Whitener, facts: dict[str, Json]) -> Model:
    """Take the best parameters and measure them once more."""
    options, state, backend = task.options, task.state, task.backend
    params = task.params.like(state.best)
    inside = score(task.feed.sampled(_SCORED_WINDOWS, options.memory * budget.MIB // 8), params, backend)
    fvu = score(task.held, params, backend).fvu if task.held else inside.fvu
    if not state.history.rows:
        raise InputError(f"training ended before its first step; --tol {options.tol:g} is too large")
    row = {key: value for key, value in vars(state.history.rows[-1]).items() if key != "seconds"}
    row["fvu"] = None if math.isnan(state.history.rows[-1].fvu) else row["fvu"]
    facts |= {"fvu": fvu, "fvu_train": inside.fvu, "held_out": task.held is not None, "history": row}
    facts["best_epoch"] = state.history.best_epoch
    return Model.made(domain, whitener, params, inside.rho_hat, facts)


def _provenance(options: TrainOptions, records: list[Record], kept: Corpus, held: Corpus, how: str) -> dict[str, Json]:
    used = [record for record in records if record.status == "used"]
    sources: dict[str, Json] = {
        "used": len(used), "skipped": len(records) - len(used), "digest": digest_of(records),
        "windows": len(kept), "windows_held_out": len(held), "held_out": how,
        "extent": round(sum(record.extent for record in used), 3),
    }  # fmt: skip
    versions: dict[str, Json] = {name: version(name) for name in ("audiosae", "numpy", "scipy")}
    versions["python"] = platform.python_version()
    return {"options": options.to_json(), "seed": options.seed, "versions": versions, "sources": sources}


def _identity(domain: Domain, options: TrainOptions, records: list[Record]) -> dict[str, Json]:
    """Return what must be the same for a checkpoint to be resumed."""
    kept = domain_to_json(domain)
    settings = {f"--set {key}": value for key, value in options_of(domain).items()}
    return {"domain": kept["name"], **settings, **options.to_json(), "sources": digest_of(records)}


def digest_of(records: list[Record]) -> str:
    """Return a digest of the fields of the sources that are used, in order."""
    used = [r.digest + str(r.ranges) for r in records if r.status == "used"]
    return hashlib.blake2b("\n".join(used).encode(), digest_size=16).hexdigest()


def _summary(model: Model, records: list[Record], out: Path, seconds: float) -> dict[str, Json]:
    facts = model.facts
    return {
        "fvu": facts["fvu"],
        "fvu_space": "whitened",
        "fvu_of": "held-out sources" if facts["held_out"] else "training windows",
        "rho": facts["options"]["rho"],
        "rho_hat_mean": float(model.rho_hat.mean()),
        "dead_units": int(model.dead.sum()),
        "hidden": model.params.hidden,
        "epochs": facts["history"]["epoch"],
        "solver": facts["options"]["solver"],
        "windows": facts["sources"]["windows"],
        "sources_used": facts["sources"]["used"],
        "sources_skipped": len(records) - facts["sources"]["used"],
        "seconds": round(seconds, 3),
        "model": str(out / FILE),
        "run": str(out),
        **told_of(records),
    }
