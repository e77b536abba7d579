"""``audiosae train``: learn a model from files and write a run folder with history, journal and pictures."""

from __future__ import annotations

import math
import shlex
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Unpack

from audiosae.autoencoder.model import FILE, Model
from audiosae.commands.reading import reading
from audiosae.commands.run_folder import RunFolder
from audiosae.commands.shared_options import (
    AnyPath,
    DomainName,
    DomainSettings,
    Machine,
    MachineKeywords,
    ShowProgress,
    Sources,
    Strict,
    make_domain_of,
)
from audiosae.commands.train_sample import read_part, share_line
from audiosae.corpus.journal import source_summary
from audiosae.domain import SECONDS, resolved
from audiosae.errors import AudiosaeError, InputError, Interrupted
from audiosae.features.background import BACKGROUND, background_units
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.system.parameters import Option, command
from audiosae.system.tabular import DataTable, Tabular
from audiosae.system.text import some_of
from audiosae.training import memory_estimate
from audiosae.training.fit import check_lengths, fit
from audiosae.training.history import Rows
from audiosae.training.options import TrainKeywords, TrainOptions, suited_to
from audiosae.training.sampling import check_sample
from audiosae.views.atoms import draw_atoms
from audiosae.views.curves import draw_history
from audiosae.views.model_card import CARD, write_model_card

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from audiosae.corpus.journal import Record
    from audiosae.domain import Json
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.system.progress import Notes
    from audiosae.training.fit import TrainingResult


@dataclass(frozen=True)
class TrainedRun(Tabular):
    """Result of a training run.

    Attributes
    ----------
    model
        The trained model.
    history
        A row for each epoch (Adam) or iteration (L-BFGS): cost, fvu, rho_hat_mean and others. It is a sequence, and a
        table for pandas (``history.frame()``), Polars and DuckDB.
    summary
        The values that ``train --json`` prints: fvu, rho_hat_mean, dead_units, sources_used, sources_skipped, seconds
        and others.
    used, skipped
        The sources, each with its `file`; a skipped one has a `reason`.
    notes
        Messages, for example about files that were ignored or are incomplete, and the choice of solver and backend.
    folder
        The run folder; None if nothing was written.

    Examples
    --------
    >>> import audiosae
    >>> from audiosae.commands.example import sounds
    >>> run = audiosae.train(sounds, hidden=6, epochs=2)
    >>> len(run.history), run.summary["sources_used"], run.skipped
    (2, 4, [])
    """

    model: Model
    history: Rows
    summary: Mapping[str, Any]
    used: Sequence[Record]
    skipped: Sequence[Record]
    notes: Sequence[str] = ()
    folder: Path | None = None

    @property
    def facts(self) -> Mapping[str, Any]:
        """The same as `summary`; all results have the attribute `facts`."""
        return self.summary

    def frame(self) -> pd.DataFrame:
        """Return the history as a pandas frame, a row for each epoch or iteration."""
        return self.history.frame()

    def _data(self) -> DataTable:
        return self.history._data()  # noqa: SLF001

    def __repr__(self) -> str:
        folder = f"; {self.folder}" if self.folder else ""
        sources = f"{len(self.used)} sources, {len(self.skipped)} skipped"
        return f"<TrainedRun: {self.model.params.hidden} units from {sources}{folder}>"

    def _repr_html_(self) -> str:
        return self.model._repr_html_()


class Keywords(TrainKeywords, MachineKeywords, total=False):
    """Keywords of `train`: options of training and of the machine."""

    tf32: bool


def _text(run: TrainedRun) -> str:
    s, facts, domain, out = run.summary, run.model.facts, run.model.domain, run.folder or Path()
    sources = facts["sources"]
    length = f"{sources['extent'] / 60:.1f} min, " if domain.unit == SECONDS else ""
    windows = f"{s['windows']} windows of {' x '.join(map(str, domain.window))} for training"
    for name, what in (
        ("windows_held_out", "held out"),
        ("windows_in_neither", "in neither part"),
        ("windows_left_out", "left out as silent or blank"),
    ):
        windows += f", {sources[name]} {what}" if sources[name] else ""
    division = sources["held_out"] if facts["held_out"] else f"held out: {sources['held_out']}"
    lines = [
        f"learned {s['hidden']} units from {s['sources_used']} of {len(run.skipped) + sources['used']} sources "
        f"({length}{windows}) in {s['seconds']:.0f} s",
        f"  unexplained variance  {s['fvu']:.3g} in the whitened space, on {s['fvu_of']} ({division})",
        f"  mean activity         {s['rho_hat_mean']:.4f}, target rho {s['rho']:g}; dead units {s['dead_units']}",
    ]
    if s["archive"]:
        share = share_line(s["archive"], s["sources_used"], sources["extent"], domain.unit)
        lines.insert(1, f"  sample                {share}")
    if (units := s["background_units"]) is not None:
        lines.append(f"  background            {units} of {s['hidden']} units: {BACKGROUND}")
    epochs, most, best = s["epochs"], facts["options"]["epochs"], facts["best_epoch"]
    if epochs < most:
        unit = "iterations" if s["solver"] == "lbfgs" else "epochs"
        lines.append(
            f"  stopped early         after {epochs} of {most} {unit}: no improvement ({best} was best, saved)"
        )
    if not facts["fvu"] < 1:
        lines.append(
            "  nothing learned yet   the reconstruction is no better than the mean: "
            "train longer, on more data, or lower --learning-rate"
        )
    if run.skipped:
        reasons = Counter(record.reason.split(":")[0] for record in run.skipped)
        counts = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(4))
        lines.append(f"  skipped               {len(run.skipped)}: {counts}; all in {out / 'journal.csv'}")
    return "\n".join(
        [
            *lines,
            f"  files                 {out}/: model.safetensors, README.md, atoms.png, history.png, history.csv, "
            "journal.csv",
            f"next: open {out / 'atoms.png'}, then: audiosae info {shlex.quote(str(out))}",
        ]
    )


@command(
    example="audiosae train samples/sounds -o first-run",
    text=_text,
    declared=(TrainOptions, Machine),
    defaults=Spectrogram.defaults,
)
def train(
    sources: Sources,
    out: Annotated[
        AnyPath | None,
        Option(
            "Run folder for model, history, journal and pictures; earlier results in it are moved aside.",
            python="None writes nothing.",
            flags=("--out", "-o"),
            metavar="RUN",
            typed=Path,
            required=True,
        ),
    ] = None,
    *,
    domain: DomainName = "spectrogram",
    settings: DomainSettings = None,
    resume: Annotated[bool, Option("Continue from the checkpoint in the run folder.", "Training")] = False,
    strict: Strict = False,
    progress: ShowProgress = False,
    **options: Unpack[Keywords],
) -> TrainedRun:
    """Learn sparse features from recordings or other files.

    The defaults shown are those for recordings; audiosae domains shows those of the other kinds of input.
    The cost is that of A. Ng, "Sparse autoencoder", CS294A lecture notes; see `audiosae.SparseAutoencoder`.

    Returns
    -------
    TrainedRun
        `model`, `history`, `summary`, `skipped` and others.

    Raises
    ------
    InputError
        An option, the folder or all sources cannot be used.
    Interrupted
        Ctrl-C; the checkpoint is in the run folder. Without a folder KeyboardInterrupt is raised.

    Examples
    --------
    >>> import audiosae
    >>> from audiosae.commands.example import sounds
    >>> run = audiosae.train(sounds, "first-run", hidden=6, epochs=5, seed=1)
    >>> run.model.atoms().shape, sorted(path.name for path in run.folder.glob("*.png"))
    ((6, 16, 40), ['atoms.png', 'history.png'])
    """
    if resume and out is None:
        raise InputError("--resume: wanted together with out, the run folder of the run")
    began, machine = time.monotonic(), Machine.of(options)
    made = make_domain_of(domain, settings)
    given = {name: value for name, value in options.items() if name in TrainOptions.__dataclass_fields__}
    only_lbfgs = machine.engine != "here" and given.get("solver") is None
    if only_lbfgs:
        given["solver"] = "lbfgs"
    training = check_sample(made, TrainOptions.resolve(made.defaults, given, domain=made.name))
    with reading(made, sources, machine, progress=progress, trained=False) as job, job.engine() as engine:
        if only_lbfgs:
            job.notes.say("solver lbfgs: chosen because of --engine; every step is a pass over all windows")
        made = resolved(made, job.paths)
        check_lengths(made, training)
        training = suited_to(engine, training, math.prod(made.window))
        with nullcontext() if out is None else RunFolder(Path(out), resume=resume, say=job.notes.say) as folder:
            memory_estimate.check(memory_estimate.lower_bound(made, training))
            if folder is not None:
                folder.check(training)
            job = replace(job, domain=made)
            corpus, training, archive = read_part(job, training, given, engine)
            result = _with_background(fit(corpus, training, checkpoint=folder, progress=job.notes), corpus)
            result = result if archive is None else replace(result, model=result.model.with_facts(archive=archive))
            if folder is not None:
                folder.write(result)
        job.notes.close()
        job.report_used(result.used)
        path = None if folder is None else folder.path
        summary = _summary(result, path, time.monotonic() - began)
        error = None if path is None else _draw(result, path, job.notes)
    run = TrainedRun(result.model, Rows(result.history), summary, result.used, result.skipped, job.notes.lines, path)
    if error is not None:
        raise type(error)(str(error), run)
    return run


def _with_background(result: TrainingResult, corpus: EngineCorpus) -> TrainingResult:
    """Return a result whose model states how many of its units show the background, if the domain knows."""
    units = background_units(result.model, corpus)
    if units is None:
        return result
    return replace(result, model=result.model.with_facts(background_units=int(units.sum())))


def _draw(result: TrainingResult, out: Path, notes: Notes) -> AudiosaeError | None:
    """Write the pictures and the model card; return the error if that fails, because the model is saved already."""
    files: dict[str, Callable[[Path], object]] = {
        "history.png": lambda path: draw_history(result.history, path, rho=result.model.facts["options"]["rho"]),
        "atoms.png": lambda path: draw_atoms(result.model, path),
        CARD: lambda path: write_model_card(result.model, path.parent, say=notes.say),
    }
    missing, errors = list(files), []
    try:
        for name, write in files.items():
            try:
                write(out / name)
                missing.remove(name)
            except AudiosaeError as error:
                errors.append(error)
    except KeyboardInterrupt:
        return Interrupted(f"the model is saved, but not yet {some_of(missing)}; add --resume to write the rest")
    if errors:
        verb = "written" if CARD in missing else "drawn"
        return type(errors[0])(f"the model is saved, but {some_of(missing)} could not be {verb}: {errors[0]}")
    return None


def _summary(result: TrainingResult, out: Path | None, seconds: float) -> dict[str, Json]:
    model, facts = result.model, result.model.facts
    return {
        "fvu": facts["fvu"],
        "fvu_space": "whitened",
        "fvu_of": "held-out sources" if facts["held_out"] else "training windows",
        "rho": facts["options"]["rho"],
        "rho_hat_mean": float(model.rho_hat.mean()),
        "dead_units": int(model.dead.sum()),
        "background_units": facts.get("background_units"),
        "hidden": model.params.hidden,
        "epochs": facts["history"]["epoch"],
        "solver": facts["options"]["solver"],
        "windows": facts["sources"]["windows"],
        "archive": facts.get("archive"),
        "sources_used": facts["sources"]["used"],
        "sources_skipped": len(result.skipped),
        "seconds": round(seconds, 3),
        "model": str(out / FILE) if out else None,
        "run": str(out) if out else None,
        **source_summary([*result.used, *result.skipped]),
    }
