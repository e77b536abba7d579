"""The part of a long archive that ``audiosae train`` reads, and what is said about it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from audiosae.corpus.archive_sample import Archive
from audiosae.domain import SECONDS
from audiosae.recordings.dates import read_dates
from audiosae.system.progress import counted
from audiosae.training.sampling import suited_to_sample, windows_to_read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audiosae.commands.reading import Reading
    from audiosae.domain import Json
    from audiosae.engine import Engine
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.training.options import TrainOptions

_HOUR = 3600.0
_SHOWN = 0.05  # of a unit, below which one decimal would be 0.0
_WHOLE = 0.99  # of what was drawn; lengths in headers may be estimates


def read_part(
    job: Reading, options: TrainOptions, given: Mapping[str, Any], engine: Engine
) -> tuple[EngineCorpus, TrainOptions, dict[str, Json] | None]:
    """Read the sources to train on: all, or a sample of a long archive.

    Instead of recordings that turn out to be damaged, others are drawn, once.

    Returns
    -------
    tuple
        What was read, the options, which for a sample are those of `suited_to_sample`, and facts on the archive from
        which it was drawn; None if all was read.
    """
    domain, most = job.domain, windows_to_read(options)
    archive = Archive.larger_than(most, domain, job.sources, job.notes) if domain.stretch and most else None
    if archive is None:
        return job.read(engine), options, None
    starts = read_dates(job.paths, when="name").starts if domain.unit == SECONDS else ()
    sources = archive.drawn(most, seed=options.seed, starts=starts)
    facts: dict[str, Json] = {
        "sources": len(archive.sources),
        "windows": archive.windows,
        "extent": round(archive.extent, 3),
        "drawn": round(archive.extent_of(sources), 3),
    }
    corpus = replace(job, sources=sources).read(engine)
    if lost := archive.lost(sources, corpus.records):
        other = archive.drawn(most, seed=options.seed, starts=starts, lost=lost)
        if other != sources:
            job.notes.say(
                f"{counted(len(lost), 'source')} of the sample cannot be read, or not wholly: others were drawn"
            )
            corpus = replace(job, sources=other).read(engine)
    return corpus, suited_to_sample(options, given), facts


def share_line(facts: dict[str, Json], used: int, extent: float, unit: str) -> str:
    """Return the line that says which share of an archive was read.

    Parameters
    ----------
    facts
        Those that `read_part` returns.
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
