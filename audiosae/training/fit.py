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
from audiosae.commands.run_folder import RunFolder
from audiosae.corpus.journal import changed_since, told_of, write_journal
from audiosae.domain import SECONDS, domain_to_json, options_of, resolved
from audiosae.engine.corpus import read
from audiosae.engine.feed import Feed, score
from audiosae.engine.whitening import learn_whitener
from audiosae.errors import InputError
from audiosae.system.interrupts import gentle_interrupt
from audiosae.system.progress import Progress
from audiosae.system.threads import one_blas_thread
from audiosae.training import checkpoint, memory_estimate, solvers
from audiosae.training.options import choose_solver, suited_to

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audiosae.autoencoder.whitening import Whitener
    from audiosae.corpus.journal import Record
    from audiosae.corpus.sources import Source
    from audiosae.domain import Domain, Json
    from audiosae.engine import Engine
    from audiosae.engine.corpus import PlacedCorpus
    from audiosae.training.options import TrainOptions

_SCORED_WINDOWS = 2**17
_FEWEST_HELD = 10  # windows; the variance of fewer is no measure
_SHARE_HELD = 10  # one held-out window to ten of --max-windows


@dataclass(frozen=True)
class Outcome:
    """Result of a training run; `summary` is what ``train --json`` prints."""

    model: Model
    state: checkpoint.State
    summary: dict[str, Json]
    skipped: list[Record]
    used: list[Record]


def train_sources(
    domain: Domain, sources: Sequence[Source], out: Path, options: TrainOptions, engine: Engine, *, cache: Path,
    workers: int, resume: bool = False, progress: Progress | None = None,
) -> Outcome:  # fmt: skip
    """Read sources and `train` on them; what cannot be done is refused before they are read.

    Parameters
    ----------
    domain
        Its open options are resolved from the sources.
    out
        The run folder; what an earlier run left there is moved aside, not lost.
    cache, workers
        Folder for fields, and decoding processes; the model does not depend on their number.

    Raises
    ------
    InputError
        No source can be used, or the folder cannot be written.
    Interrupted
        Asked to stop (Ctrl-C); the checkpoint was written.
    """
    progress = progress or Progress()
    domain = resolved(domain, [source.path for source in sources])
    options = suited_to(engine, options, math.prod(domain.window))
    with RunFolder(out, resume=resume, say=progress.say) as folder:
        memory_estimate.check(memory_estimate.least(domain, options))
        corpus = read(domain, sources, engine, cache=cache, workers=workers, progress=progress)
        return train(corpus, folder, options, progress)


@one_blas_thread()
def train(corpus: PlacedCorpus, folder: RunFolder, options: TrainOptions, progress: Progress) -> Outcome:
    """Hold out, whiten, optimise, and write model, history and journal to an open run folder.

    Parameters
    ----------
    corpus
        With a record of every source that was read.
    folder
        Opened; where it is to be resumed, its checkpoint is gone on from.

    Raises
    ------
    InputError, Interrupted
        As in `train_sources`.
    """
    corpus.backend.say = progress.say
    options = suited_to(corpus.engine, options, corpus.width)
    with corpus.backend.session():  # one for all of it: what is on a card by then stays there
        return _trained(_usable(corpus), folder, options, progress)


def _trained(corpus: PlacedCorpus, folder: RunFolder, options: TrainOptions, progress: Progress) -> Outcome:
    kept, held, how = _held_out(corpus, options)
    _ = corpus.backend.keep(corpus) or corpus.backend.keep(held)
    progress.stage("whitening", None, "windows")
    whitener = learn_whitener(kept, options.whitening)
    memory_estimate.check(
        memory_estimate.estimate(corpus.domain, options, windows=len(kept), n_components=whitener.n_components)
    )
    feeds = _feeds(kept, held, whitener, options)
    options = choose_solver(options, len(kept), whitener.n_components, progress.say)
    folder.keep()
    task = _task(corpus, feeds, whitener, options, folder=folder, progress=progress)
    counts = corpus.windows_per_record()
    write_journal(folder.journal, zip(corpus.records, counts, strict=True), unit=corpus.domain.unit)
    _solve(task)
    model = _model(task, corpus.domain, whitener, _provenance(options, corpus, kept, held, how))
    model.save(folder.path / FILE)
    task.state.history.write(folder.path / "history.csv")
    used = corpus.only(corpus.used).records
    return Outcome(model, task.state, _summary(model, corpus, folder), corpus.skipped, used)


def with_short_ones_skipped(corpus: PlacedCorpus) -> list[Record]:
    """Return the records of a corpus; those without a whole window as skipped."""
    records = zip(corpus.records, corpus.windows_per_record(), strict=True)
    return [_too_short(corpus.domain, r) if r.status == "used" and not n else r for r, n in records]


def _usable(corpus: PlacedCorpus) -> PlacedCorpus:
    """Mark what is too short as skipped; refuse when nothing is left."""
    marked = with_short_ones_skipped(corpus)
    if not len(corpus):
        reasons = ", ".join(sorted({r.reason.split(":")[0] for r in marked}))
        first = next(r for r in marked if r.reason)
        raise InputError(
            f"none of {len(marked)} sources can be used ({reasons}); the first is {first.file}: {first.reason}"
        )
    return corpus.part(marked)


def _held_out(corpus: PlacedCorpus, options: TrainOptions) -> tuple[PlacedCorpus, PlacedCorpus, str]:
    """Return the windows to train on, those that are held out, and how they were divided."""
    kept, held, how = corpus.split(options.seed)
    if options.max_windows:
        kept = kept.sample(options.max_windows, options.seed)
        held = held.sample(max(1, options.max_windows // _SHARE_HELD), options.seed)
    if not len(kept) or len(held) < _FEWEST_HELD:
        return kept if len(kept) else corpus, corpus.part([]), "nothing: too few windows"
    return kept, held, how


def _feeds(
    kept: PlacedCorpus, held: PlacedCorpus, whitener: Whitener, options: TrainOptions
) -> tuple[Feed, Feed | None]:  # fmt: skip
    """Return the windows, whitened; what is held out is a tenth: an eighth of the memory does where all fits."""
    bound, here = options.memory * memory_estimate.MIB, solvers.one_block(len(kept), options)
    feed, rest = (
        Feed(part, whitener, dtype=options.dtype, memory=most, gathered=here)
        for part, most in ((kept, bound), (held, bound // 8))
    )
    return feed, rest if len(held) else None


def _too_short(domain: Domain, record: Record) -> Record:
    found = " x ".join(map(str, record.shape))
    wanted = " x ".join(map(str, domain.window))
    extent = f"{record.extent:.3g} {domain.unit}, " if domain.unit == SECONDS else ""
    return replace(
        record, status="skipped", reason=f"shorter than a window: {extent}a field of {found}, wanted {wanted}"
    )


def _task(
    corpus: PlacedCorpus, feeds: tuple[Feed, Feed | None], whitener: Whitener, options: TrainOptions, *,
    folder: RunFolder, progress: Progress,
) -> solvers.Task:  # fmt: skip
    """Prepare a solver's work, from the start, or from a checkpoint where it is known what has changed since."""
    backend, path, params = corpus.backend, folder.path / checkpoint.FILE, options.start(whitener)
    identity = _identity(options, corpus)
    state = checkpoint.State.fresh(params.flat, options.hidden)
    if folder.resume:
        state = checkpoint.State.load(path, identity, changed=changed_since(folder.journal, corpus.records))
        if state.flat.shape != params.flat.shape:
            raise InputError(f"{path} is damaged: {state.flat.size} parameters, wanted {params.flat.size}")
        progress.say(f"resumed at epoch {state.epoch}, step {state.step}")
    state.move(backend.asarray)
    return solvers.Task(
        backend, *feeds, params.like(state.flat), options, options.epochs, state,
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
    options, state = task.options, task.state
    params = task.params.like(state.best)
    inside = score(task.feed.sampled(_SCORED_WINDOWS, options.memory * memory_estimate.MIB // 8), params)
    fvu = score(task.held, params).fvu if task.held else inside.fvu
    if not state.history.rows:
        raise InputError(f"training ended before its first step; --tol {options.tol:g} is too large")
    row = {key: value for key, value in vars(state.history.rows[-1]).items() if key != "seconds"}
    row["fvu"] = None if math.isnan(state.history.rows[-1].fvu) else row["fvu"]
    facts |= {"fvu": fvu, "fvu_train": inside.fvu, "held_out": task.held is not None, "history": row}
    facts["best_epoch"] = state.history.best_epoch
    return Model.made(domain, whitener, params, inside.rho_hat, facts)


def _provenance(
    options: TrainOptions, corpus: PlacedCorpus, kept: PlacedCorpus, held: PlacedCorpus, how: str
) -> dict[str, Json]:  # fmt: skip
    used = corpus.only(corpus.used).records
    sources: dict[str, Json] = {
        "used": len(used), "skipped": len(corpus.skipped), "digest": digest_of(used),
        "windows": len(kept), "windows_held_out": len(held), "held_out": how,
        "extent": round(sum(record.extent for record in used), 3),
    }  # fmt: skip
    versions: dict[str, Json] = {name: version(name) for name in ("audiosae", "numpy", "scipy")}
    versions["python"] = platform.python_version()
    return {"options": options.to_json(), "seed": options.seed, "versions": versions, "sources": sources}


def _identity(options: TrainOptions, corpus: PlacedCorpus) -> dict[str, Json]:
    """Return what must be the same for a checkpoint to be resumed."""
    kept = domain_to_json(corpus.domain)
    settings = {f"--set {key}": value for key, value in options_of(corpus.domain).items()}
    return {"domain": kept["name"], **settings, **options.to_json(), "sources": digest_of(corpus.records)}


def digest_of(records: list[Record]) -> str:
    """Return a digest of the fields of the sources that are used, in order."""
    used = [r.digest + str(r.ranges) for r in records if r.status == "used"]
    return hashlib.blake2b("\n".join(used).encode(), digest_size=16).hexdigest()


def _summary(model: Model, corpus: PlacedCorpus, folder: RunFolder) -> dict[str, Json]:
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
        "sources_skipped": len(corpus.skipped),
        "seconds": round(time.monotonic() - folder.began, 3),
        "model": str(folder.path / FILE),
        "run": str(folder.path),
        **told_of(corpus.records),
    }
