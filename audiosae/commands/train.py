"""A run from files to its folder, as ``audiosae train`` makes it."""

from __future__ import annotations

import shlex
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from audiosae.commands.model import Model
from audiosae.commands.reading import tell_used, worker_cache
from audiosae.corpus.cache import cache_folder
from audiosae.corpus.sources import named_paths, scan
from audiosae.domain import Domain, load_domain, make_domain
from audiosae.engine import open_engine
from audiosae.errors import AudiosaeError, Interrupted
from audiosae.system.processes import worker_count
from audiosae.system.progress import Notes, Progress
from audiosae.training.fit import train_sources
from audiosae.training.options import TrainOptions
from audiosae.views.atoms import draw_atoms
from audiosae.views.curves import draw_history
from audiosae.views.model_card import write_card

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from audiosae.corpus.journal import Record
    from audiosae.corpus.sources import Named
    from audiosae.training.fit import Outcome
    from audiosae.training.history import Row


@dataclass(frozen=True)
class Run:
    """What a training run has left.

    Attributes
    ----------
    model
        What was learned; a notebook shows it.
    history
        A row for each epoch (Adam) or iteration (L-BFGS): cost, fvu, rho_hat_mean and others.
    summary
        What ``train --json`` prints: fvu, rho_hat_mean, dead_units, sources_used, sources_skipped, seconds and others.
    used, skipped
        The sources, each with its `file`; what was not used has a `reason`.
    notes
        Messages: what was passed over, not whole, how solver and backend were chosen.
    folder
        The run folder; None where nothing was written.
    trouble
        What went wrong once the model was saved: its pictures or its card are missing.

    Examples
    --------
    >>> run = audiosae.train(sounds, hidden=6, epochs=2)
    >>> len(run.history), run.summary["sources_used"], run.skipped
    (2, 4, [])
    """

    model: Model
    history: Sequence[Row]
    summary: Mapping[str, Any]
    used: Sequence[Record]
    skipped: Sequence[Record]
    notes: Sequence[str] = ()
    folder: Path | None = None
    trouble: AudiosaeError | None = None

    def __repr__(self) -> str:
        where = f"; {self.folder}" if self.folder else ""
        told = f"{len(self.used)} sources, {len(self.skipped)} skipped"
        return f"<Run: {self.model.params.hidden} units from {told}{where}>"

    def _repr_html_(self) -> str:
        """Return the model as a notebook shows it."""
        return self.model._repr_html_()


def train(
    sources: Named, run: str | os.PathLike[str] | None = None, *, domain: str | Domain = "spectrogram",
    settings: Mapping[str, Any] | None = None, hidden: int | None = None,
    activation: Literal["sigmoid", "tanh"] | None = None, decoder: Literal["linear", "sigmoid"] | None = None,
    rho: float | None = None, beta: float | None = None, weight_decay: float | None = None,
    whiten: Literal["pca", "zca", "scale", "none"] | None = None, whiten_power: float | None = None,
    keep: float | None = None, contrast: bool | None = None, remove_mean: bool | None = None,
    solver: Literal["auto", "adam", "lbfgs"] | None = None, epochs: int | None = None, batch_size: int | None = None,
    learning_rate: float | None = None, tol: float | None = None, max_windows: int | None = None,
    memory: int | None = None, seed: int | None = None, dtype: Literal["float32", "float64"] | None = None,
    backend: Literal["auto", "numpy", "cupy"] = "auto", tf32: bool = False, workers: int | None = None,
    engine: str = "here", cache: str | os.PathLike[str] | None = None, resume: bool = False,
    progress: bool | Progress = False,
) -> Run:  # fmt: skip
    """Learn sparse features of a folder of recordings, or of another domain's files (``audiosae train``).

    Parameters
    ----------
    sources
        A file or folder, or several.
    run
        Folder for model, history, journal, pictures and card; what an earlier run left there is moved aside. None
        writes nothing: the model is in the result, and can be saved.
    domain, settings
        Kind of input, and its options (``audiosae domains``): ``settings={"sample_rate": 16000}``. Or a domain itself.
    hidden
        Number of units.
    activation, decoder
        Of the units and of the output.
    rho, beta, weight_decay
        Mean activity each unit is held to, and weights of the sparsity penalty and of the squared weights.
    whiten, whiten_power, keep, contrast, remove_mean
        What is done to windows first: the kind of whitening, its power (0 only rotates, 1 whitens fully), the share of
        the variance that is kept, each window to mean 0 and deviation 1, or to mean 0.
    solver, epochs, batch_size, learning_rate, tol
        How the cost is minimised: A. Ng, "Sparse autoencoder", CS294A lecture notes; `audiosae.SparseAutoencoder`.
    max_windows, memory
        A random subset of so many windows; MiB that are held of them at most.
    seed, dtype
        The same seed gives the same model to the bit; type of the numbers.
    backend, tf32
        Where the numbers are computed, and on a card faster products of 10-bit factors.
    workers, engine, cache
        Decoding processes (one per core), where the work is done, folder for decoded fields (the user's cache).
    resume
        Go on from the checkpoint in `run`.
    progress
        True for bars in a terminal or a notebook.

    Returns
    -------
    Run
        `model`, `history`, `summary`, `skipped` and others. Options that are None take the value that suits the domain.

    Raises
    ------
    InputError
        An option or the folder cannot be used, or none of the sources can.
    Interrupted
        Asked to stop (Ctrl-C): the checkpoint is in `run`. Without a folder this is KeyboardInterrupt.

    Examples
    --------
    >>> run = audiosae.train(sounds, "first-run", hidden=6, epochs=5, seed=1)
    >>> run.model.atoms().shape, sorted(path.name for path in run.folder.glob("*.png"))
    ((6, 16, 40), ['atoms.png', 'history.png'])
    """
    given: dict[str, Any] = {
        "hidden": hidden, "activation": activation, "decoder": decoder, "rho": rho, "beta": beta,
        "weight_decay": weight_decay, "whiten": whiten, "whiten_power": whiten_power, "keep": keep,
        "contrast": contrast, "remove_mean": remove_mean, "solver": solver, "epochs": epochs,
        "batch_size": batch_size, "learning_rate": learning_rate, "tol": tol, "max_windows": max_windows,
        "memory": memory, "seed": seed, "dtype": dtype,
    }  # fmt: skip
    done = run_training(
        sources, run, domain, settings, given, backend=backend, tf32=tf32, workers=workers, engine=engine, cache=cache,
        resume=resume, progress=progress,
    )  # fmt: skip
    if done.trouble:
        raise done.trouble
    return done


def run_training(
    sources: Named, run: str | os.PathLike[str] | None, domain: str | Domain, settings: Mapping[str, Any] | None,
    given: Mapping[str, Any], *, backend: str, tf32: bool, workers: int | None, engine: str,
    cache: str | os.PathLike[str] | None, resume: bool, progress: bool | Progress,
) -> Run:  # fmt: skip
    """Train as `train` does; what goes wrong once the model is saved is in the result. `given`: options of training."""
    made = domain if isinstance(domain, Domain) else make_domain(load_domain(domain), settings or {})
    only_lbfgs = engine != "here" and given.get("solver") is None
    wanted = {**given, "solver": "lbfgs"} if only_lbfgs else given
    options = TrainOptions.resolve(made.defaults, wanted, domain=made.name)
    fields = None if cache is None else Path(cache)
    with Notes(progress) as notes, ExitStack() as stack:
        out = Path(run if run is not None else stack.enter_context(tempfile.TemporaryDirectory()))
        found = scan(named_paths(sources), made.suffixes, domain=made.name, say=notes.say)
        there = worker_cache(engine, fields)
        opened = stack.enter_context(open_engine(engine, backend=backend, tf32=tf32, cache=there, say=notes.say))
        if only_lbfgs:
            notes.say("solver lbfgs: with --engine, every step is a pass over all windows")
        try:
            outcome = train_sources(
                made, found, out, options, opened, cache=cache_folder(fields), workers=worker_count(workers),
                resume=resume, progress=notes,
            )  # fmt: skip
        except Interrupted as error:
            if run is None:
                raise KeyboardInterrupt from error  # its checkpoint goes with the folder: there is nothing to resume
            raise
        notes.close()
        tell_used(outcome.used, notes)
        trouble = None if run is None else _show(outcome, out, notes)
    summary = outcome.summary if run is not None else {**outcome.summary, "model": None, "run": None}
    return Run(Model.of(outcome.model), outcome.state.history.rows, summary, outcome.used, outcome.skipped,
               notes.lines, None if run is None else out, trouble)  # fmt: skip


def _show(outcome: Outcome, out: Path, notes: Notes) -> AudiosaeError | None:
    """Draw and describe what belongs to a run; what goes wrong is told after the summary, for the model is there."""
    try:
        draw_history(outcome.state.history.rows, out / "history.png", rho=outcome.model.facts["options"]["rho"])
        draw_atoms(outcome.model, out / "atoms.png")
        write_card(outcome.model, out, say=notes.say)
    except AudiosaeError as error:
        return type(error)(f"the model is saved, but atoms.png could not be drawn: {error}")
    except KeyboardInterrupt:
        again = f"audiosae render {shlex.quote(str(out))} -o {shlex.quote(str(out / 'atoms.png'))}"
        return Interrupted(f"the model is saved; only its picture is missing: {again}")
    return None
