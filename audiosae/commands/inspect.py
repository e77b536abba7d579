"""``audiosae inspect``: headers of all sources, quick checks of a few, estimated time and memory of training."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.backends import Backend
from audiosae.commands.reading import reading
from audiosae.commands.shared_options import (
    DomainName,
    DomainSettings,
    Machine,
    ShowProgress,
    Sources,
    TimeZone,
    WhenName,
    make_domain_of,
)
from audiosae.corpus.ingest import NOTHING, count_rows
from audiosae.corpus.sources import some_of
from audiosae.domain import SECONDS, Domain, resolved
from audiosae.errors import InputError
from audiosae.system.frames import html_table, pandas_frame, text_table
from audiosae.system.parameters import command
from audiosae.system.stderr import CapturedStderr, capture_stderr
from audiosae.training import memory_estimate
from audiosae.training.options import TrainOptions, choose_solver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from audiosae.corpus.sources import Source
    from audiosae.system.progress import Progress

_SPEED_PROBE = 1024
_READ_BYTES = 2**24  # of a file that is read to know its length, where its domain has no probe
_KINDS = 6  # kinds of files that are listed
_GLANCES = 40  # sources of which a little is decoded
_MANY = 0.1  # share of them from which a remark is reported for all
_PRODUCTS = 5  # matrix products per step
_OVERHEAD = 1.5  # a step over its products
_SEEN_SHARE = 0.25  # of a window's numbers are left after whitening, as a rule of thumb
_ROWS_SHOWN = 60
_COLUMNS = ("file", "status", "length", "what", "reason")


@dataclass(frozen=True)
class Inspection:
    """What the headers of sources say.

    Attributes
    ----------
    files
        One dictionary per source: file, status (ok or skipped), reason, extent in the domain's unit, facts, remark, and
        for recordings time.
    summary
        Lines in words: how many can be read, kinds, estimated time and memory of training.
    facts
        What ``inspect --json`` prints.
    notes
        Messages on files that were passed over.

    Examples
    --------
    >>> inspection = audiosae.inspect(sounds)
    >>> len(inspection.files), inspection.files[0]["status"], inspection.facts["sources_ok"]
    (4, 'ok', 4)
    """

    files: Sequence[Mapping[str, Any]]
    summary: Sequence[str]
    facts: Mapping[str, Any] = field(repr=False)
    notes: Sequence[str] = ()

    def frame(self) -> pd.DataFrame:
        """Return a pandas frame with a row for each source; its facts are columns of their own."""
        names = dict.fromkeys(name for file in self.files for name in file if name != "facts")
        extra = dict.fromkeys(name for file in self.files for name in file["facts"])
        columns = {name: [file.get(name) for file in self.files] for name in names}
        return pandas_frame(columns | {name: [file["facts"].get(name) for file in self.files] for name in extra})

    def rows(self) -> list[tuple[str, ...]]:
        """Return what is shown of each source: file, status, length, facts, reason."""
        unit = self.facts["unit"]
        return [
            (f["file"], f["status"], extent_text(f["extent"], unit), _kind(f["facts"]), f["reason"]) for f in self.files
        ]

    def _repr_html_(self) -> str:
        """Return the first sources and the summary, for a notebook."""
        return html_table(self.rows()[:_ROWS_SHOWN], head=_COLUMNS, caption="; ".join(self.summary))


def _text(inspection: Inspection) -> str:
    rows = inspection.rows()
    if len(rows) > _ROWS_SHOWN:
        rows = [*(row for row in rows if row[1] != "ok"), ("...", "", "", "", "")]
    return "\n".join([text_table([_COLUMNS, *rows]), "", *inspection.summary])


@command(example="audiosae inspect samples/sounds", text=_text)
def inspect(
    sources: Sources,
    *,
    domain: DomainName = "spectrogram",
    settings: DomainSettings = None,
    when: WhenName = "auto",
    time_zone: TimeZone = None,
    progress: ShowProgress = False,
) -> Inspection:
    """Check files: lengths, rates, dates, faults, memory.

    Headers are read, and two seconds of some files; a constant offset in many of them is reported.

    Returns
    -------
    Inspection
        `files`, `summary`, `facts`, `frame()`.

    Raises
    ------
    InputError
        An option cannot be used, or no file has the domain's suffixes.

    Examples
    --------
    >>> audiosae.inspect(sounds).summary[0]
    '4 of 4 sources can be read: 2.0 s, about 144 windows'
    """
    made = make_domain_of(domain, settings)
    with reading(made, sources, Machine(), progress, trained=False) as job:
        facts = inspect_sources(made, job.sources, progress=job.notes)
        if facts["unit"] == SECONDS:
            dates = job.dates(when, time_zone)
            for file, start in zip(facts["files"], dates.starts, strict=True):
                file["time"] = start.isoformat() if start else None
            facts["dates"] = {"form": dates.form, "note": dates.note}
            facts["told"].append(dates.note)
    summary = facts.pop("told")
    return Inspection(facts["files"], summary, facts, job.notes.lines)


def inspect_sources(domain: Domain, sources: Sequence[Source], *, progress: Progress) -> dict[str, Any]:
    """Read the headers of all sources, and a little of the content of a few.

    Returns
    -------
    dict
        `files` (file, status ok|skipped, reason, extent, facts, remark), totals, estimates, `glances` (how many sources
        were looked into, and in which what was found), and `told`, lines for a person.
    """
    domain = resolved(domain, [source.path for source in sources])
    progress.stage("inspecting", len(sources), "files")
    files = []
    for source in sources:
        with capture_stderr(CapturedStderr()):  # decoders remark on headers; the journal of a run has what they say
            files.append(_inspect(domain, source))
        progress.advance(1)
    good = [file for file in files if file["status"] == "ok"]
    glances = _glance(domain, [source for source, file in zip(sources, files, strict=True) if file["status"] == "ok"])
    windows = sum(_windows(domain, file["rows"], file["columns"]) for file in good)
    numbers = sum(file["rows"] * _row_numbers(domain, file["columns"]) for file in good)
    estimate = _estimate(domain, numbers, windows)
    extent = sum(file["extent"] for file in good)
    return {
        "domain": domain.name,
        "unit": domain.unit,
        "files": files,
        "extent": extent,
        "windows": windows,
        "sources_ok": len(good),
        "sources_skipped": len(files) - len(good),
        "estimate": estimate,
        "glances": glances,
        "told": [*_told(domain, files, extent, windows, estimate), *_remarked(good, glances)],
    }


def _inspect(domain: Domain, source: Source) -> dict[str, Any]:
    found: dict[str, Any] = {
        "file": source.name,
        "status": "ok",
        "reason": "",
        "extent": 0.0,
        "rows": 0,
        "columns": 0,
        "facts": {},
        "remark": "",
    }
    if source.fault:
        return found | {"status": "skipped", "reason": source.fault}
    try:
        probe = domain.probe(source.path)
        if probe is None and source.path.stat().st_size > _READ_BYTES:
            return found | {"reason": "length unknown before it is read"}
        probe = probe or count_rows(domain, source.path)
        found |= {"extent": probe.extent, "rows": probe.rows, "columns": probe.columns, "facts": dict(probe.facts)}
        found["remark"] = probe.remark
    except InputError as error:
        return found | {"status": "skipped", "reason": str(error)}
    except (Exception, SystemExit) as error:  # noqa: BLE001 (a plugin's: it costs the source, as its field would)
        return found | {"status": "skipped", "reason": " ".join(f"{type(error).__name__}: {error}".split())}
    if probe.rows < domain.window[0]:
        reason = f"shorter than a window: {probe.rows} rows, wanted {domain.window[0]}" if probe.rows else NOTHING
        found |= {"status": "skipped", "reason": reason}
    return found


def _glance(domain: Domain, sources: Sequence[Source]) -> dict[str, Any]:
    """Look into sources spread evenly; what cannot be decoded is told when all is."""
    looked, found = sources[:: max(1, -(-len(sources) // _GLANCES))], []
    for source in looked:
        with (
            suppress(Exception, SystemExit),
            capture_stderr(CapturedStderr()),
        ):  # a plugin's: no glance is worth the inspection
            if words := domain.glance(source.path):
                found.append({"file": source.name, "remark": words})
    return {"sources": len(looked), "found": found}


def _remarked(good: Sequence[dict[str, Any]], glances: dict[str, Any]) -> list[str]:
    """Return a line for each remark: on which of all sources, or on how many of those that were looked into."""
    lines = [
        f"{len(names)} of {len(good)} sources have {remark}: {some_of(names)}" for remark, names in _by_remark(good)
    ]
    looked = glances["sources"]
    lines += [
        f"{len(names)} of {looked} sources that were looked into have {remark}: {some_of(names)}"
        for remark, names in _by_remark(glances["found"])
        if len(names) >= _MANY * looked
    ]
    return lines


def _by_remark(found: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    for remark in dict.fromkeys(file["remark"] for file in found if file["remark"]):
        yield remark, [file["file"] for file in found if file["remark"] == remark]


def _windows(domain: Domain, rows: int, columns: int) -> int:
    down = max(0, (rows - domain.window[0]) // domain.stride[0] + 1)
    across = max(0, (columns - domain.window[1]) // domain.stride[1] + 1) if columns else 1
    return down * across


def _row_numbers(domain: Domain, columns: int) -> int:
    """Return how many numbers a row of the field has."""
    return columns * int(np.prod(domain.window[2:])) if columns else int(np.prod(domain.window[1:]))


def _estimate(domain: Domain, numbers: int, windows: int) -> dict[str, float]:
    """Estimate what training with the defaults would take here, from the speed of one matrix product."""
    width = int(np.prod(domain.window))
    a = np.ones((_SPEED_PROBE, _SPEED_PROBE), np.float32)
    backend, out = Backend(), np.empty_like(a)
    products = [partial(np.matmul, a[rows], a, out=out[rows]) for rows in backend.parts(len(a), least=64)]
    began = time.perf_counter()
    for _ in range(3):
        backend.run(products)
    speed = 3 * 2 * _SPEED_PROBE**3 / (time.perf_counter() - began)
    options = TrainOptions.resolve(domain.defaults, {}, domain=domain.name)
    n_components = max(1, int(width * _SEEN_SHARE)) if options.whiten == "pca" else width
    used = min(windows, options.max_windows or windows)
    options = choose_solver(options, used, n_components, lambda _: None)
    work = options.epochs * used * _PRODUCTS * 2 * n_components * options.hidden
    field_bytes = numbers * 4
    return {
        "field_bytes": field_bytes,
        "memory_bytes": memory_estimate.estimate(domain, options, windows=used, n_components=n_components).total,
        "seconds": _OVERHEAD * work / speed,
    }


def extent_text(extent: float, unit: str, digits: int = 2) -> str:
    """Return a length as it is read: 1.25 s, 640 px, 1 row, 4,000 rows."""
    number = f"{extent:.{digits}f}" if unit == SECONDS or extent != int(extent) else f"{extent:,.0f}"
    return f"{number} {unit}{'s' if unit == Domain.unit and extent != 1 else ''}"


def _told(
    domain: Domain, files: list[dict[str, Any]], extent: float, windows: int, estimate: dict[str, float]
) -> list[str]:
    bad = Counter(file["reason"].split(":")[0] for file in files if file["status"] != "ok")
    kinds = Counter(_kind(file["facts"]) for file in files if file["status"] == "ok")
    hours = domain.unit == SECONDS and extent > 3600  # noqa: PLR2004
    length = f"{extent / 3600:.2f} h" if hours else extent_text(extent, domain.unit, 1)
    lines = [f"{sum(kinds.values())} of {len(files)} sources can be read: {length}, about {windows:,} windows"]
    lines += [f"  {count} x {kind}" for kind, count in kinds.most_common(_KINDS) if kind]
    if len(kinds) > _KINDS:
        lines.append(f"  and {len(kinds) - _KINDS} more kinds")
    lines += [f"  skipped: {reason} ({count})" for reason, count in bad.most_common()]
    unknown = sum(file["status"] == "ok" and file["reason"] != "" for file in files)
    if unknown:
        lines.append(f"  {unknown} not counted: {domain.name} tells the length of large files only when they are read")
    lines.append(
        f"training with the defaults, roughly: {estimate['seconds']:.0f} s after reading, "
        f"{estimate['field_bytes'] / 2**20:.0f} MiB of cache, {estimate['memory_bytes'] / 2**20:.0f} MiB of memory"
    )
    return lines


def _kind(facts: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items())
