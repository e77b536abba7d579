"""``audiosae inspect``: headers of all sources, quick checks of some, estimated time and memory of training."""

from __future__ import annotations

import json
import math
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.backends import Backend
from audiosae.commands.event_remarks import event_remarks
from audiosae.commands.reading import reading
from audiosae.commands.shared_options import (
    DateOrder,
    DomainName,
    DomainSettings,
    Machine,
    ShowProgress,
    Sources,
    TimeZone,
    WhenName,
    make_domain_of,
)
from audiosae.corpus.copies import find_copies, find_links, report_same
from audiosae.corpus.ingest import NOTHING, count_rows
from audiosae.corpus.sources import stand_in
from audiosae.corpus.windows import windows_in
from audiosae.domain import SECONDS, Domain, plugin_call, resolved
from audiosae.errors import InputError
from audiosae.recordings.dates import Dates, read_dates, undated
from audiosae.recordings.missing_ends import REMARK, has_no_end
from audiosae.system.frames import html_table, text_table
from audiosae.system.many import Made, Many
from audiosae.system.parameters import command
from audiosae.system.spelling import spelled
from audiosae.system.stderr import CapturedStderr, capture_stderr
from audiosae.system.tabular import DataTable, Tabular, inferred
from audiosae.system.text import some_of
from audiosae.training import memory_estimate
from audiosae.training.options import TrainOptions, choose_solver
from audiosae.training.sampling import suited_to_sample, windows_to_read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from audiosae.corpus.sources import Source
    from audiosae.system.progress import Progress

_SPEED_PROBE = 1024  # rows and columns of a matrix whose square is timed
_READ_BYTES = 2**24  # largest file that is read to count its rows if its domain has no probe
_KINDS = 6  # kinds of files that are listed
_CHECKED = 40  # sources that get quick checks
_PRODUCTS = 5  # matrix products per step
_OVERHEAD = 1.5  # time of a step relative to its products
_WHITENED_SHARE = 0.25  # usual share of a window's values that remain after PCA whitening
_ROWS_SHOWN = 60
_MANY_EQUAL = 4  # sources that differ in nothing but the name are one row
_HOUR = 3600.0  # s
_COLUMNS = ("file", "status", "length", "facts", "reason")


@dataclass(frozen=True)
class Inspection(Tabular):
    """Result of an inspection: headers of sources, and an estimate of the training.

    Attributes
    ----------
    files
        One dictionary per source: file, status (ok or skipped), reason, extent in the domain's unit, facts, remark, and
        for recordings time.
    summary
        Lines of text: number of readable sources, kinds, estimated time and memory of training.
    found
        The values of `facts`; the lists of files may be other sequences, which make their items when asked for.
    notes
        Messages about ignored files.

    Examples
    --------
    >>> import audiosae
    >>> from audiosae.commands.example import sounds
    >>> inspection = audiosae.inspect(sounds)
    >>> len(inspection.files), inspection.files[0]["status"], inspection.facts["sources_ok"]
    (4, 'ok', 4)
    """

    files: Sequence[Mapping[str, Any]]
    summary: Sequence[str]
    found: Mapping[str, Any] = field(repr=False)
    notes: Sequence[str] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """The values that ``inspect --json`` prints, in new dictionaries and lists."""
        return {key: _listed(value) for key, value in self.found.items()}

    def frame(self) -> pd.DataFrame:
        """Return a pandas frame with a row for each source and a column for each of its facts."""
        return self._data().frame()

    def _data(self) -> DataTable:
        names = dict.fromkeys(name for file in self.files for name in file if name != "facts")
        extra = dict.fromkeys(name for file in self.files for name in file["facts"])
        columns = {name: [file.get(name) for file in self.files] for name in names}
        facts = {name: [file["facts"].get(name) for file in self.files] for name in extra}
        return inferred("files", columns | facts)

    def __repr__(self) -> str:
        return f"<Inspection: {self.summary[0]}>"

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row for each source: file, status, length, facts, reason."""
        return [*self.each_row()]

    def each_row(self) -> Iterator[tuple[str, ...]]:
        """Yield the items of `rows`."""
        unit = self.found["unit"]
        for f in self.files:
            yield f["file"], f["status"], extent_text(f["extent"], unit), _kind(f["facts"]), f["reason"]

    def _repr_html_(self) -> str:
        rows = _together(self)
        shown = islice(self.each_row(), _ROWS_SHOWN) if rows is None else rows
        return html_table(shown, head=_COLUMNS, caption="; ".join(self.summary))


def _listed(value: Any) -> Any:  # noqa: ANN401
    """Return a value with lists in place of other sequences."""
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, Sequence) and not isinstance(value, str) else value


def _together(inspection: Inspection) -> list[tuple[str, ...]] | None:
    """Return one row for many usable sources that differ in nothing but the name; None if more than 60 remain."""
    equal: Counter[tuple[str, ...]] = Counter()
    for row in inspection.each_row():
        equal[row[1:]] += row[1] == "ok"
        if len(equal) > _ROWS_SHOWN:
            return None
    shown: dict[tuple[str, ...], tuple[str, ...]] = {}
    for name, *rest in inspection.each_row():
        count = equal[tuple(rest)]
        if count < _MANY_EQUAL:
            shown[name, *rest] = name, *rest
        else:
            shown.setdefault(tuple(rest), (f"{name} and {count - 1} more", *rest))
        if len(shown) > _ROWS_SHOWN:
            return None
    return [*shown.values()]


def _text(inspection: Inspection) -> str:
    rows = _together(inspection)
    if rows is None:
        faults = (row for row in inspection.each_row() if row[1] != "ok")
        rows = [*faults, (f"{inspection.found['sources_ok']} sources", "ok", "", "", "")]
    return "\n".join([text_table([_COLUMNS, *rows]), "", *inspection.summary])


@command(example="audiosae inspect samples/sounds", text=_text)
def inspect(
    sources: Sources,
    *,
    domain: DomainName = "spectrogram",
    settings: DomainSettings = None,
    when: WhenName = "auto",
    time_zone: TimeZone = None,
    date_order: DateOrder = None,
    progress: ShowProgress = False,
) -> Inspection:
    """Check files: lengths, rates, dates, faults, memory.

    Reads the headers, and some seconds of some files to report a DC offset and digital zeros.

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
    >>> import audiosae
    >>> from audiosae.commands.example import sounds
    >>> audiosae.inspect(sounds).summary[0]
    '4 of 4 sources can be read: 2.0 s, about 144 windows'
    """
    made = make_domain_of(domain, settings)
    with reading(made, sources, Machine(), progress=progress, trained=False) as job:
        facts = inspect_sources(made, job.sources, progress=job.notes)
        if facts["unit"] == SECONDS:
            dates = read_dates(job.paths, when=when, time_zone=time_zone, date_order=date_order)
            _add_dates(facts, dates)
    summary = [spelled(line) for line in facts.pop("summary")]
    return Inspection(facts["files"], summary, facts, job.notes.lines)


def _add_dates(facts: dict[str, Any], dates: Dates) -> None:
    """Add the dates to the facts of an inspection: of each file, and of each group of names in the summary."""
    exact = any(start.microsecond for start in dates.starts if start)
    text = partial(datetime.isoformat, timespec="milliseconds" if exact else "seconds")  # the same for all files
    pairs = zip(facts["files"], dates.starts, strict=True)
    timed = (file | {"time": text(start) if start else None} for file, start in pairs)
    files = facts["files"] = Many(timed, partial(json.dumps, default=float), json.loads)
    names = Made(lambda number: files[number]["file"], range(len(files)))
    dated: dict[str, array[int]] = {}
    lines: list[str] = []
    for group in dates.groups:
        known = (member for member, start in zip(group.members, group.starts, strict=True) if start)
        dated.setdefault(group.form, array("L")).extend(known)
    groups: list[dict[str, Any]] = []
    for form, members in dated.items():
        if members:
            times, some = [start for member in members if (start := dates.starts[member])], names.only(members)
            first, last = text(min(times)), text(max(times))
            groups.append({"form": form, "reason": "", "first": first, "last": last, "files": some})
            lines.append(f"  {len(some)} x {form}, {first} to {last} ({some_of(some)})")
    for reason, without in undated(dates.groups).items():
        some = names.only(without)
        groups.append({"form": "", "reason": reason, "first": None, "last": None, "files": some})
        lines.append(f"  {len(some)} x no date: {reason} ({some_of(some)})")
    facts["dates"] = {"form": dates.form, "note": dates.note, "groups": groups}
    facts["summary"] += [dates.note, *(lines if dates.form or len(lines) > 1 else [])]


def inspect_sources(domain: Domain, sources: Sequence[Source], *, progress: Progress) -> dict[str, Any]:
    """Read the headers of all sources, and run quick checks on some.

    Returns
    -------
    dict
        `files` (file, status ok|skipped, reason, extent, facts, remark), totals, estimates, `glances` (number of
        checked sources, and their remarks), `copies` and `links` (groups of sources with the same content, and of
        links to one file), and `summary`, lines of text.
    """
    domain = resolved(domain, Made(lambda number: sources[number].path, range(len(sources))))
    progress.stage("inspecting", len(sources), "files")
    files: Many[dict[str, Any]] = Many((), partial(json.dumps, default=float), json.loads)
    for source in sources:
        with capture_stderr(CapturedStderr()):  # messages of decoders; the journal of a run has them
            files.append(_inspect(domain, source))
        progress.advance(1)
    usable = array("L", (number for number, file in enumerate(files) if file["status"] == "ok"))
    good, readable = files.only(usable), [sources[number] for number in usable]
    glances, links = _quick_checks(domain, readable), find_links(readable)
    copies = find_copies(readable, links)
    windows = sum(windows_in(domain, file["rows"], file["columns"]) for file in good)
    wide, narrow = math.prod(domain.window[2:]), math.prod(domain.window[1:])  # values per column, and per row
    values = sum(file["rows"] * (file["columns"] * wide or narrow) for file in good)
    with plugin_call(domain, "compare"):
        differences = list(domain.compare(Made(lambda number: readable[number].path, range(len(readable)))))
    extent, estimate = sum(file["extent"] for file in good), _estimate(domain, values, windows)
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
        "copies": [[source.name for source in group] for group in copies],
        "links": [[source.name for source in group] for group in links],
        "summary": [
            *_totals(domain, files, extent, windows, estimate),
            *_remarks(good, len(good), "sources"),
            *_remarks(glances["found"], glances["sources"], "checked sources"),
            *differences,
            *report_same(copies, len(good), "copies of others"),
            *report_same(links, len(good), "links to the file of another"),
            *event_remarks(domain, files),
        ],
    }


def _inspect(domain: Domain, source: Source) -> dict[str, Any]:
    facts: dict[str, Any] = {
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
        return facts | {"status": "skipped", "reason": source.fault}
    try:
        probe = domain.probe(source.path)
        if probe is None and source.path.stat().st_size > _READ_BYTES:
            return facts | {"reason": "length unknown before it is read"}
        probe = probe or count_rows(domain, source.path)
        facts |= {"extent": probe.extent, "rows": probe.rows, "columns": probe.columns, "facts": dict(probe.facts)}
        is_cut = domain.unit == SECONDS and has_no_end(source.path)
        facts["remark"] = "; ".join(part for part in (probe.remark, REMARK if is_cut else "") if part)
    except InputError as error:
        return facts | {"status": "skipped", "reason": stand_in(source.path) or str(error)}
    except (Exception, SystemExit) as error:  # noqa: BLE001 (a plugin may raise anything; it costs only this source)
        return facts | {"status": "skipped", "reason": " ".join(f"{type(error).__name__}: {error}".split())}
    if probe.rows < domain.window[0]:
        reason = f"shorter than a window: {probe.rows} rows, wanted {domain.window[0]}" if probe.rows else NOTHING
        facts |= {"status": "skipped", "reason": reason}
    return facts


def _quick_checks(domain: Domain, sources: Sequence[Source]) -> dict[str, Any]:
    """Check evenly spaced sources; the errors of a plugin are ignored."""
    checked, remarks = sources[:: max(1, -(-len(sources) // _CHECKED))], []
    for source in checked:
        with suppress(Exception, SystemExit), capture_stderr(CapturedStderr()):
            if remark := domain.glance(source.path):
                remarks.append({"file": source.name, "remark": remark})
    return {"sources": len(checked), "found": remarks}


def _remarks(files: Sequence[dict[str, Any]], total: int, what: str) -> list[str]:
    """Return a line for each remark."""
    found: dict[str, array[int]] = {}
    for number, file in enumerate(files):
        if file["remark"]:
            found.setdefault(file["remark"], array("L")).append(number)
    names = {remark: Made(lambda number: files[number]["file"], numbers) for remark, numbers in found.items()}
    return [f"{len(some)} of {total} {what} have {remark}: {some_of(some)}" for remark, some in names.items()]


def _estimate(domain: Domain, values: int, windows: int) -> dict[str, float]:
    """Estimate cache, memory and time of training with the defaults, from the speed of one matrix product."""
    a = np.ones((_SPEED_PROBE, _SPEED_PROBE), np.float32)
    backend, out = Backend(), np.empty_like(a)
    products = [partial(np.matmul, a[rows], a, out=out[rows]) for rows in backend.parts(len(a), least=64)]
    began = time.perf_counter()
    for _ in range(3):
        backend.run(products)
    speed = 3 * 2 * _SPEED_PROBE**3 / (time.perf_counter() - began)
    options, width = TrainOptions.resolve(domain.defaults, {}, domain=domain.name), math.prod(domain.window)
    n_components = max(1, int(width * _WHITENED_SHARE)) if options.whiten == "pca" else width
    used = min(windows, options.max_windows or windows)
    share = min(1.0, windows_to_read(options) / max(1, windows) or 1.0) if domain.stretch else 1.0
    options = suited_to_sample(options, {}) if share < 1 else options
    options = choose_solver(options, used, n_components, lambda _: None)
    work = options.epochs * used * _PRODUCTS * 2 * n_components * options.hidden
    return {
        "share": share,
        "field_bytes": round(share * values * (1 if domain.resolution else 4)),
        "memory_bytes": memory_estimate.estimate(domain, options, windows=used, n_components=n_components).total,
        "seconds": _OVERHEAD * work / speed,
    }


def extent_text(extent: float, unit: str, digits: int = 2) -> str:
    """Return an extent with its unit: 1.25 s, 640 px, 1 row, 4,000 rows."""
    number = f"{extent:.{digits}f}" if unit == SECONDS or extent != int(extent) else f"{extent:,.0f}"
    return f"{number} {unit}{'s' if unit == Domain.unit and extent != 1 else ''}"


def _totals(
    domain: Domain, files: Sequence[dict[str, Any]], extent: float, windows: int, estimate: dict[str, float]
) -> list[str]:
    """Return lines on all files: how many can be read, their kinds, why others are skipped, and the estimate."""
    skipped = Counter(file["reason"].split(":")[0] for file in files if file["status"] != "ok")
    kinds = Counter(_kind(file["facts"]) for file in files if file["status"] == "ok")
    hours = domain.unit == SECONDS and extent > _HOUR
    length = f"{extent / _HOUR:.2f} h" if hours else extent_text(extent, domain.unit, 1)
    lines = [f"{sum(kinds.values())} of {len(files)} sources can be read: {length}, about {windows:,} windows"]
    lines += [f"  {count} x {kind}" for kind, count in kinds.most_common(_KINDS) if kind]
    if len(kinds) > _KINDS:
        lines.append(f"  and {len(kinds) - _KINDS} more kinds")
    lines += [f"  skipped: {reason} ({count})" for reason, count in skipped.most_common()]
    if unknown := sum(file["status"] == "ok" and file["reason"] != "" for file in files):
        lines.append(f"  {unknown} not counted: {domain.name} knows the length of large files only after reading them")
    part = f"reads about {100 * estimate['share']:.2g} % of this and " if estimate["share"] < 1 else ""
    lines.append(
        f"training with the defaults {part}takes about {estimate['seconds']:.0f} s after reading, "
        f"{estimate['field_bytes'] / 2**20:.0f} MiB of cache and {estimate['memory_bytes'] / 2**20:.0f} MiB of memory"
    )
    return lines


def _kind(facts: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items())
