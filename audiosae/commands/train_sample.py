"""The part of a long archive that ``audiosae train`` reads, and what is said about it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from audiosae.corpus.archive_sample import Archive
from audiosae.domain import SECONDS
from audiosae.recordings.dates import read_dates
from audiosae.system.progress import counted
from audiosae.training.sampling import windows_to_read

if TYPE_CHECKING:
    from audiosae.commands.reading import Reading
    from audiosae.domain import Json
    from audiosae.training.options import TrainOptions

_HOUR = 3600.0
_SHOWN = 0.05  # of a unit, below which one decimal would be 0.0
_WHOLE = 0.99  # of what was drawn; lengths in headers may be estimates


def drawn_part(job: Reading, options: TrainOptions) -> tuple[Reading, dict[str, Json] | None]:
    """Return the sources that training reads, and facts on the archive from which they are drawn; None for all."""
    domain, most = job.domain, windows_to_read(options)
    if not (domain.stretch and most):
        return job, None
    archive = Archive.larger_than(most, domain, job.sources, job.notes)
    if archive is None:
        return job, None
    starts = read_dates(job.paths, when="name").starts if domain.unit == SECONDS else ()
    sources = archive.drawn(most, seed=options.seed, starts=starts)
    facts: dict[str, Json] = {
        "sources": len(archive.sources),
        "windows": archive.windows,
        "extent": round(archive.extent, 3),
        "drawn": round(archive.extent_of(sources), 3),
    }
    return replace(job, sources=sources), facts


def share_line(facts: dict[str, Json], used: int, extent: float, unit: str) -> str:
    """Return the line that says which share of an archive was read.

    Parameters
    ----------
    facts
        Those that `drawn_part` returns.
    used, extent
        Number of the sources that were used, and length of what was read from them.
    """
    whole, drawn = (float(facts[key]) for key in ("extent", "drawn"))  # type: ignore[arg-type]
    scale, name = (_HOUR, "h") if unit == SECONDS else (1.0, unit)
    lost = (drawn - extent) / scale
    amount = f"{lost:.1f}" if lost >= _SHOWN else f"{lost:.1g}"
    short = f", {amount} {name} less than drawn, as some cannot be read" if extent < _WHOLE * drawn else ""
    return (
        f"{extent / scale:.1f} of {whole / scale:,.1f} {name} ({100 * extent / whole:.2g} %){short}, "
        f"spread over {used} of {counted(int(facts['sources']), 'source')}; --max-windows 0 reads all"  # type: ignore[arg-type]
    )
