"""audiosae train."""

from __future__ import annotations

import shlex
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiosae.cli.console import Console
from audiosae.cli.parameters import (
    AsJson,
    BackendChoice,
    BackendName,
    Cache,
    DomainName,
    EngineName,
    Quiet,
    Settings,
    Sources,
    Workers,
    byte_count,
    cache_folder,
    make,
    worker_cache,
    worker_count,
)
from audiosae.cli.reading import tell_used
from audiosae.errors import AudiosaeError, InputError, Interrupted

if TYPE_CHECKING:
    from audiosae.training.train import Outcome

Out = Annotated[
    Path, typer.Option("--out", "-o", metavar="RUN", help="Run folder for model, history, journal, pictures.")
]


class Activation(StrEnum):
    """Choices of --activation."""

    sigmoid = "sigmoid"
    tanh = "tanh"


class Decoder(StrEnum):
    """Choices of --decoder."""

    linear = "linear"
    sigmoid = "sigmoid"


class Whiten(StrEnum):
    """Choices of --whiten."""

    pca = "pca"
    zca = "zca"
    scale = "scale"
    none = "none"


class SolverName(StrEnum):
    """Choices of --solver."""

    auto = "auto"
    adam = "adam"
    lbfgs = "lbfgs"


class Dtype(StrEnum):
    """Choices of --dtype."""

    float32 = "float32"
    float64 = "float64"


def train(  # noqa: PLR0917 (the command line's own options)
    sources: Sources,
    out: Out,
    domain: DomainName = "spectrogram",
    set_: Settings = None,
    hidden: Annotated[int | None, typer.Option(help="Number of units.  [default: 256]")] = None,
    activation: Annotated[Activation | None, typer.Option(help="Of the units.  [default: sigmoid]")] = None,
    decoder: Annotated[Decoder | None, typer.Option(help="Of the output.  [default: linear]")] = None,
    rho: Annotated[float | None, typer.Option(help="Mean activity each unit is held to.")] = None,
    beta: Annotated[float | None, typer.Option(help="Weight of the sparsity penalty; 0 for none.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight of the squared weights.")] = None,
    whiten: Annotated[Whiten | None, typer.Option(help="What is done to windows first.")] = None,
    whiten_power: Annotated[float | None, typer.Option(help="0 only rotates, 1 whitens fully.")] = None,
    keep: Annotated[float | None, typer.Option(help="Share of the variance that is kept.")] = None,
    contrast: Annotated[
        bool | None, typer.Option("--contrast/--no-contrast", help="Each window to mean 0, deviation 1.")
    ] = None,
    remove_mean: Annotated[
        bool | None, typer.Option("--remove-mean/--keep-mean", help="Each window to mean 0.")
    ] = None,
    solver: Annotated[SolverName | None, typer.Option(help="auto chooses by size and says why.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the windows (iterations of L-BFGS).")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Windows a step (Adam).  [default: 1024]")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam, at its highest.")] = None,
    tol: Annotated[float | None, typer.Option(help="Relative improvement that counts, for stopping early.")] = None,
    max_windows: Annotated[int | None, typer.Option(help="Train on a random subset of this many windows.")] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="256M", help="Bound of what is held of the windows.  [default: 256M]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the start, the split and the order.  [default: 0]")] = None,
    backend: BackendChoice = BackendName.auto,
    tf32: Annotated[bool, typer.Option("--tf32", help="On a card: faster products of 10-bit factors.")] = False,  # noqa: FBT002
    dtype: Annotated[Dtype | None, typer.Option(help="Of the numbers.  [default: float32]")] = None,
    workers: Workers = None,
    engine: EngineName = "here",
    cache: Cache = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's checkpoint.")] = False,  # noqa: FBT002
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if any source was skipped.")] = False,  # noqa: FBT002
    quiet: Quiet = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Learn sparse features of a folder of recordings (or of another domain's files).

    Options that are not given take the value that suits the domain; `audiosae domains` and `audiosae info` show it.
    """
    from audiosae.corpus.sources import scan
    from audiosae.engine import open_engine
    from audiosae.training.options import TrainOptions
    from audiosae.training.train import train_sources

    console = Console(quiet=quiet, as_json=as_json)
    made = make(domain, set_)
    given: dict[str, Any] = {
        "hidden": hidden, "activation": activation, "decoder": decoder, "rho": rho, "beta": beta,
        "weight_decay": weight_decay, "whiten": whiten, "whiten_power": whiten_power, "keep": keep,
        "contrast": contrast, "remove_mean": remove_mean, "solver": solver, "epochs": epochs,
        "batch_size": batch_size, "learning_rate": learning_rate, "tol": tol, "max_windows": max_windows,
        "seed": seed, "dtype": dtype, "memory": memory and byte_count("--memory", memory, least="16M") // 2**20,
    }  # fmt: skip
    plain = {key: str(value) if isinstance(value, StrEnum) else value for key, value in given.items()}
    only_lbfgs = engine != "here" and solver is None
    if only_lbfgs:
        plain["solver"] = "lbfgs"
    options = TrainOptions.resolve(made.defaults, plain, domain=made.name)
    found = scan(sources, made.suffixes, domain=made.name, say=console.say)
    with open_engine(
        engine, backend=str(backend), tf32=tf32, cache=worker_cache(engine, cache), say=console.say
    ) as opened:
        if only_lbfgs:
            console.say("solver lbfgs: with --engine, every step is a pass over all windows")
        outcome = train_sources(
            made, found, out, options, opened, cache=cache_folder(cache), workers=worker_count(workers),
            resume=resume, progress=console,
        )  # fmt: skip
    console.close()
    tell_used(outcome.used, console)
    trouble = _draw(outcome, out)
    console.result(_closing(outcome, out), outcome.summary)
    if strict and outcome.skipped and not trouble:
        trouble = InputError(f"--strict: {len(outcome.skipped)} of the sources were skipped; the model is saved")
    if trouble:
        raise trouble


def _draw(outcome: Outcome, out: Path) -> AudiosaeError | None:
    """Draw what belongs to a run; what goes wrong is told after the summary, for the model is there."""
    from audiosae.pictures.atoms import draw_atoms
    from audiosae.pictures.curves import draw_history

    try:
        draw_history(outcome.state.history.rows, out / "history.png", rho=outcome.model.facts["options"]["rho"])
        draw_atoms(outcome.model, out / "atoms.png")
    except AudiosaeError as error:
        return type(error)(f"the model is saved, but atoms.png could not be drawn: {error}")
    except KeyboardInterrupt:
        again = f"audiosae render {shlex.quote(str(out))} -o {shlex.quote(str(out / 'atoms.png'))}"
        return Interrupted(f"the model is saved; only its picture is missing: {again}")
    return None


def _closing(outcome: Outcome, out: Path) -> str:
    """Return the summary that a person reads at the end."""
    from audiosae.domain import SECONDS

    s, sources = outcome.summary, outcome.model.facts["sources"]
    domain = outcome.model.domain
    of = f"{s['sources_used']} of {len(outcome.skipped) + sources['used']} sources"
    length = f"{sources['extent'] / 60:.1f} min, " if domain.unit == SECONDS else ""
    window = " x ".join(map(str, domain.window))
    lines = [
        f"learned {s['hidden']} units from {of} ({length}{s['windows']} windows of {window}) in {s['seconds']:.0f} s",
        f"  unexplained variance  {s['fvu']:.3g} of {s['fvu_of']} ({sources['held_out']}), in the whitened space",
        f"  mean activity         {s['rho_hat_mean']:.4f}, wanted rho {s['rho']:g}; dead units {s['dead_units']}",
    ]
    epochs, most, best = s["epochs"], outcome.model.facts["options"]["epochs"], outcome.model.facts["best_epoch"]
    if epochs < most:
        what = "iterations" if s["solver"] == "lbfgs" else "epochs"
        lines.append(f"  stopped early         after {epochs} of {most} {what}: no longer better (best {best}, kept)")
    if not outcome.model.facts["fvu"] < 1:
        lines.append("  nothing learned yet   the reconstruction is no better than the mean: train longer, or on more")
    if outcome.skipped:
        reasons = Counter(record.reason.split(":")[0] for record in outcome.skipped)
        told = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(4))
        lines.append(f"  skipped               {len(outcome.skipped)}: {told}; all in {out / 'journal.csv'}")
    lines.append(f"  files                 {out}/: model.safetensors, atoms.png, history.png, history.csv, journal.csv")
    lines.append(f"next: open {out / 'atoms.png'}, then: audiosae info {shlex.quote(str(out))}")
    return "\n".join(lines)
