"""audiosae train."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiosae.cli import parameters as shared
from audiosae.cli.console import Console  # noqa: TC001 (its annotation is read)
from audiosae.errors import InputError

if TYPE_CHECKING:
    from audiosae.commands.train import Run

Out = Annotated[
    Path, typer.Option("--out", "-o", metavar="RUN", help="Run folder for model, history, journal, pictures.")
]


def train(  # noqa: PLR0917 (the command line's own options)
    console: Console,
    sources: shared.Sources,
    out: Out,
    domain: shared.DomainName = "spectrogram",
    set_: shared.Settings = None,
    hidden: Annotated[int | None, typer.Option(help="Number of units.  [default: 256]")] = None,
    activation: Annotated[
        Literal["sigmoid", "tanh"] | None, typer.Option(help="Of the units.  [default: sigmoid]")
    ] = None,
    decoder: Annotated[
        Literal["linear", "sigmoid"] | None, typer.Option(help="Of the output.  [default: linear]")
    ] = None,
    rho: Annotated[float | None, typer.Option(help="Mean activity each unit is held to.")] = None,
    beta: Annotated[float | None, typer.Option(help="Weight of the sparsity penalty; 0 for none.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight of the squared weights.")] = None,
    whiten: Annotated[
        Literal["pca", "zca", "scale", "none"] | None, typer.Option(help="What is done to windows first.")
    ] = None,
    whiten_power: Annotated[float | None, typer.Option(help="0 only rotates, 1 whitens fully.")] = None,
    keep: Annotated[float | None, typer.Option(help="Share of the variance that is kept.")] = None,
    contrast: Annotated[
        bool | None, typer.Option("--contrast/--no-contrast", help="Each window to mean 0, deviation 1.")
    ] = None,
    remove_mean: Annotated[
        bool | None, typer.Option("--remove-mean/--keep-mean", help="Each window to mean 0.")
    ] = None,
    solver: Annotated[
        Literal["auto", "adam", "lbfgs"] | None, typer.Option(help="auto chooses by size and says why.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the windows (iterations of L-BFGS); 0: chosen by their number.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Windows a step (Adam).  [default: 1024]")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam, at its highest.")] = None,
    tol: Annotated[float | None, typer.Option(help="Relative improvement that counts, for stopping early.")] = None,
    max_windows: Annotated[int | None, typer.Option(help="Train on a random subset of this many windows.")] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="256M", help="Bound of what is held of the windows.  [default: 256M]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the start, the split and the order.  [default: 0]")] = None,
    backend: shared.Backend = "auto",
    tf32: Annotated[bool, typer.Option("--tf32", help="On a card: faster products of 10-bit factors.")] = False,  # noqa: FBT002
    dtype: Annotated[
        Literal["float32", "float64"] | None, typer.Option(help="Of the numbers.  [default: float32]")
    ] = None,
    workers: shared.Workers = None,
    engine: shared.EngineName = "here",
    cache: shared.Cache = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's checkpoint.")] = False,  # noqa: FBT002
    strict: shared.Strict = False,  # noqa: FBT002
) -> None:
    """Learn sparse features of a folder of recordings (or of another domain's files).

    Options that are not given take the value that suits the domain; `audiosae domains` and `audiosae info` show it.
    """
    from audiosae.commands.train import run_training
    from audiosae.domain import parse_settings

    given: dict[str, Any] = {
        "hidden": hidden, "activation": activation, "decoder": decoder, "rho": rho, "beta": beta,
        "weight_decay": weight_decay, "whiten": whiten, "whiten_power": whiten_power, "keep": keep,
        "contrast": contrast, "remove_mean": remove_mean, "solver": solver, "epochs": epochs,
        "batch_size": batch_size, "learning_rate": learning_rate, "tol": tol, "max_windows": max_windows,
        "seed": seed, "dtype": dtype, "memory": memory and shared.byte_count("--memory", memory, least="16M") // 2**20,
    }  # fmt: skip
    run = run_training(
        sources, out, domain, parse_settings(set_ or []), given, backend=backend, tf32=tf32, workers=workers,
        engine=engine, cache=cache, resume=resume, progress=console,
    )  # fmt: skip
    trouble = run.trouble
    console.result(_closing(run, out), run.summary)
    if strict and run.skipped and not trouble:
        trouble = InputError(f"--strict: {len(run.skipped)} of the sources were skipped; the model is saved")
    if trouble:
        raise trouble


def _closing(run: Run, out: Path) -> str:
    """Return the summary that a person reads at the end."""
    from audiosae.domain import SECONDS

    s, sources = run.summary, run.model.facts["sources"]
    domain = run.model.domain
    of = f"{s['sources_used']} of {len(run.skipped) + sources['used']} sources"
    length = f"{sources['extent'] / 60:.1f} min, " if domain.unit == SECONDS else ""
    window = " x ".join(map(str, domain.window))
    lines = [
        f"learned {s['hidden']} units from {of} ({length}{s['windows']} windows of {window}) in {s['seconds']:.0f} s",
        f"  unexplained variance  {s['fvu']:.3g} of {s['fvu_of']} ({sources['held_out']}), in the whitened space",
        f"  mean activity         {s['rho_hat_mean']:.4f}, wanted rho {s['rho']:g}; dead units {s['dead_units']}",
    ]
    epochs, most, best = s["epochs"], run.model.facts["options"]["epochs"], run.model.facts["best_epoch"]
    if epochs < most:
        what = "iterations" if s["solver"] == "lbfgs" else "epochs"
        lines.append(f"  stopped early         after {epochs} of {most} {what}: no longer better (best {best}, kept)")
    if not run.model.facts["fvu"] < 1:
        lines.append("  nothing learned yet   the reconstruction is no better than the mean: train longer, or on more")
    if run.skipped:
        reasons = Counter(record.reason.split(":")[0] for record in run.skipped)
        told = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(4))
        lines.append(f"  skipped               {len(run.skipped)}: {told}; all in {out / 'journal.csv'}")
    lines.append(
        f"  files                 {out}/: model.safetensors, README.md, atoms.png, history.png, history.csv, "
        "journal.csv"
    )
    lines.append(f"next: open {out / 'atoms.png'}, then: audiosae info {shlex.quote(str(out))}")
    return "\n".join(lines)
