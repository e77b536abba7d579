"""Ingest: worker processes decode every source once, to a field in the cache.

A cache entry is one file, ``KEY.npy``; see `audiosae.corpus.entries`. The key is a hash of path, size, times and
samples of the source; the domain with all its options determines the folder.
"""

from __future__ import annotations

import os
from array import array
from collections import deque
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.cache import ENTRIES, make_room, open_folder, unwritable
from audiosae.corpus.entries import AGAIN, DamagedEntryError, FieldWriter, cached_record, entry_path
from audiosae.corpus.journal import Record, many_records
from audiosae.corpus.ranges import common_ranges
from audiosae.corpus.sources import stand_in
from audiosae.domain import BLANK, Probe
from audiosae.errors import InputError
from audiosae.system.files import replacing
from audiosae.system.in_turn import in_turn
from audiosae.system.many import Made, Many
from audiosae.system.processes import most_workers, prepare, run_in_order
from audiosae.system.progress import counted
from audiosae.system.stderr import CapturedStderr, capture_stderr
from audiosae.system.text import some_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.corpus.sources import Source
    from audiosae.domain import Domain

    Stretches = tuple[tuple[int, int], ...]
    Job = tuple[Domain, Path, Path, *Stretches]
    Decoding = Generator[None, None, Record]

NOTHING = "empty: no rows"


def ingest(
    domain: Domain,
    sources: Sequence[Source],
    *,
    cache: Path,
    workers: int,
    done: Callable[[Record], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
    damaged: list[str] | None = None,
    beside: Callable[[], Domain | None] = lambda: None,
    again: Callable[[Sequence[Source], int], bool] = lambda *_: False,
) -> Many[Record]:
    """Decode the fields that are not in the cache; return one record per source, in order.

    Parameters
    ----------
    workers
        Number of decoding processes; it does not affect the result.
    done, say
        Called with each record, in order, and with each message.
    damaged
        Receives the names of the sources whose fields were damaged, for `report_damaged`; None to report them.
    beside
        Returns a domain that will be needed, too: its fields are computed while a source is decoded. Called if any is.
    again
        Whether the fields of some sources, beside so many bytes of others, are not kept but decoded again when they are
        read; see `audiosae.corpus.fields`. Called if any source is decoded.

    Raises
    ------
    InputError
        The cache cannot be written.
    """
    folder = open_folder(cache, domain, say)
    entries = Many(entry_path(source, folder).name for source in sources)
    if entries and not (folder / entries[-1]).exists():
        prepare()
    cached, found = _cached_records(sources, folder, entries)
    if damaged is None:
        report_damaged(found, len(sources), say)
    else:
        damaged += found
    missing = array("L", (number for number, record in enumerate(cached) if record is None))
    wanted, suffix = [(domain, folder)], ""
    if missing and again(Made(sources.__getitem__, missing), sum(map(_bytes_of, filter(None, cached)))):
        suffix = AGAIN
    if missing and (other := beside()) is not None:
        wanted.append((other, open_folder(cache, other, say)))

    def jobs_of(number: int) -> list[Job]:
        source, name = sources[number], entries[number]
        places = [(each, own / name) for each, own in wanted if each is domain or not (own / name).exists()]
        return [
            (each, source.path, place.with_suffix(suffix) if suffix and each is domain else place, *source.stretches)
            for each, place in places
        ]

    jobs = Made(jobs_of, missing)
    most = most_workers()
    if most and workers > most:
        say(f"this system allows {most} decoding processes: {most} are used instead of {workers}")
    decoded = run_in_order(
        decode_all,
        jobs,
        workers=workers,
        crashed=lambda _: Record("", "skipped", "the decoder crashed on it"),
        weigh=lambda own: _size(own[0][1]),
        keep=True,
    )
    records = many_records()
    with closing(decoded):  # ends the processes, also after a Ctrl-C
        for source, stored in zip(sources, cached, strict=True):
            record = stored or replace(next(decoded), file=source.name, path=source.location)
            records.append(record)
            done(record)
        next(decoded, None)  # ends the processes now: later, a Ctrl-C during their end would be lost
    return records


def report_damaged(names: Sequence[str], total: int, say: Callable[[str], None]) -> None:
    """Report the names of the sources whose fields in the cache were damaged; nothing if there are none."""
    if names:
        say(f"the cache was damaged: {counted(len(names), 'field')} of {total} must be decoded again: {some_of(names)}")


def _cached_records(
    sources: Sequence[Source], folder: Path, entries: Sequence[str]
) -> tuple[Sequence[Record | None], list[str]]:
    """Return the records in the cache, None for a source that is decoded, and the names of damaged ones.

    Raises
    ------
    InputError
        A folder that is not empty is in place of an entry.
    """
    records: Many[Record | None] = many_records()
    damaged = []
    for source, name in zip(sources, entries, strict=True):
        entry = folder / name
        try:
            records.append(cached_record(source, entry))
        except DamagedEntryError:
            make_room(entry)
            records.append(None)
            damaged.append(source.name)
    return records, damaged


def decode_all(jobs: Sequence[Job]) -> Record:
    """Decode a source for one or two domains, and read it once; return the record of the first; see `decode`."""
    return in_turn(*map(_decoding, jobs))


def _bytes_of(record: Record) -> int:
    return record.packing.itemsize * prod(record.shape)


def decode(job: Job) -> Record:
    """Decode a source to its cache entry; InputError if the cache cannot be written.

    A source that cannot be decoded gives a skipped record with the reason. The job has the domain, the path of the
    source, that of the entry, and the stretches of `Source`. An entry with the suffix `AGAIN` is removed at once.
    """
    return decode_all([job])


def _decoding(job: Job) -> Decoding:
    """Decode a source as `decode` does; yield after each block."""
    domain, path, target, *stretches = job
    captured = CapturedStderr()
    try:
        is_kept = target.suffix in ENTRIES
        with replacing(target, flush=is_kept) as temporary, FieldWriter(temporary, domain.resolution) as writer:
            with capture_stderr(captured):
                record = yield from _read_field(domain, path, writer, tuple(stretches))
            record = _with_messages(record, captured)
            writer.finish(record.shape, record)
        if target.suffix == AGAIN:
            target.unlink(missing_ok=True)
    except InputError as error:
        reason = stand_in(path)
        return Record("", "skipped", reason) if reason else _with_messages(Record("", "skipped", str(error)), captured)
    except MemoryError:
        return Record("", "skipped", "needs more memory than is available")
    except OSError as error:
        raise unwritable(target.parent.parent, error) from error
    except (Exception, SystemExit) as error:  # noqa: BLE001 (of a plugin: the source is skipped, the run goes on)
        return Record("", "skipped", " ".join(f"{type(error).__name__}: {error}".split()))
    return replace(record, field=os.fspath(target))


def _with_messages(record: Record, captured: CapturedStderr) -> Record:
    if not captured.text:
        return record
    return replace(record, reason="; ".join(part for part in (record.reason, f"decoder: {captured.text}") if part))


def _read_field(domain: Domain, path: Path, writer: FieldWriter, stretches: Stretches) -> Decoding:
    blocks = _Blocks(domain, path, stretches)
    for block in blocks:
        writer.append(np.array(block, np.float32, order="C"))  # a copy: the domain may reuse its block
        yield
    rows = blocks.shape[0]
    if not rows:
        raise InputError(NOTHING)
    field = writer.field(blocks.shape)
    with _domain_errors():
        content = content_ranges(domain.blank(field), domain.window[0])
        ranges = tuple((int(start), int(stop)) for start, stop in domain.finish(field))
    _check_ranges(ranges, rows, domain.window[0])
    if stretches:  # no window reaches from one to the next
        ranges = common_ranges(ranges, list(pairwise(blocks.edges)))
    if content:
        step, (size, *_) = domain.stride[0], domain.window
        common = common_ranges(ranges, content)
        if any(-(-low // step) * step + size <= high for low, high in common):  # with long steps there may be none
            ranges = common
    packing, digest = writer.pack(field)
    with _domain_errors():
        extent, probe = _extent_and_probe(domain, path, rows)
    remark = " and ".join(part for part in (probe.remark, BLANK if content else "") if part)
    return Record(
        *("", "used", blocks.note, extent, blocks.shape, ranges, digest),
        remark=remark,
        content=content,
        stretches=stretches,
        packing=packing,
        needs=probe.needs,
    )


def content_ranges(blank: NDArray[np.bool_] | None, window: int) -> tuple[tuple[int, int], ...]:
    """Return the row ranges whose windows have content; empty for all rows, also if all are blank.

    The windows without blank rows are those of the pieces between blank rows, as if each were a source of its own. A
    piece that is shorter than a window is in no such window: its windows are those that hold all of it.

    Returns
    -------
    tuple of (start, stop)
        Ascending ranges, of which no two share a window.
    """
    if blank is None or not blank.any() or blank.all() or len(blank) < window:
        return ()
    edges = np.flatnonzero(np.diff(np.concatenate([[True], blank, [True]])))
    starts, stops = edges[::2], edges[1::2]
    is_short = stops - starts < window
    low = np.maximum(np.where(is_short, stops - window, starts), 0)
    high = np.minimum(np.where(is_short, starts + window, stops), len(blank))
    apart = low[1:] > high[:-1] - window  # other neighbours share windows
    low, high = low[np.concatenate([[True], apart])], high[np.concatenate([apart, [True]])]
    return tuple(zip(low.tolist(), high.tolist(), strict=True))


def count_rows(domain: Domain, path: Path) -> Probe:
    """Read a whole source to measure what `Domain.probe` estimates; InputError if it cannot be read."""
    blocks = _Blocks(domain, path)
    deque(blocks, maxlen=0)
    rows, *tail = blocks.shape
    return Probe(_end(domain, path, rows) if rows else 0.0, rows, tail[0] if tail else 0)


def _end(domain: Domain, path: Path, rows: int) -> float:
    """Return the end of a field of `rows` rows, in the unit of the domain."""
    return domain.span(path, (rows - domain.window[0], *[0] * (len(domain.window) - 1))).end[0]


def _extent_and_probe(domain: Domain, path: Path, rows: int) -> tuple[float, Probe]:
    """Return the length of a field in the unit of the domain, and what the domain says of the source.

    The length is that of the header if it ends within the last row, since a row may extend beyond the end of a source.
    Otherwise the header is an estimate or wrong, and the length is that of all rows.
    """
    first, second = (domain.span(path, (row, *[0] * (len(domain.window) - 1))).start[0] for row in (0, 1))
    end = _end(domain, path, rows)
    try:
        probe = domain.probe(path) or Probe(end, rows)
        claimed = float(probe.extent)
    except (Exception, SystemExit):  # noqa: BLE001 (the field was read without the header)
        return end, Probe(end, rows)
    return claimed if 0 < end - claimed <= (second - first) * (1 + 1e-9) else end, probe


class _Blocks:
    """The checked blocks of a source's field, or of stretches of it. Errors of the domain become InputErrors.

    After the last block, `shape` is the shape of the field, `edges` are the first rows of the stretches with the row
    after the last, and `note` says why only a part was read, or is "".
    """

    def __init__(self, domain: Domain, path: Path, stretches: Stretches = ()) -> None:
        self._domain, self._path, self._stretches = domain, path, stretches
        self.note, self.shape = "", (0, *domain.window[1:])
        self.edges = [0]

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for block in self._of_stretches() if self._stretches else self._unchecked():
            _check_block(block, self._domain, *self.shape)
            self.shape = (self.shape[0] + len(block), *block.shape[1:])
            yield block

    def _of_stretches(self) -> Iterator[NDArray[np.float32]]:
        """Yield the blocks of all stretches; one that cannot be read is left out, with a note, unless none can."""
        faults = []
        for low, high in self._stretches:
            try:
                yield from self._unchecked(low, high)
            except InputError as error:
                faults.append(error)
            if self.shape[0] > self.edges[-1]:
                self.edges.append(self.shape[0])
        if faults and not self.shape[0]:
            raise faults[0]
        if faults:
            self.note = f"{len(faults)} of {counted(len(self._stretches), 'drawn part')} left out: {faults[0]}"

    def _unchecked(self, *stretch: int) -> Iterator[NDArray[np.float32]]:
        with _domain_errors():
            blocks = self._domain.part(self._path, *stretch) if stretch else self._domain.field(self._path)
            if isinstance(blocks, Generator):
                self.note = (yield from blocks) or self.note
            else:
                yield from blocks


@contextmanager
def _domain_errors() -> Iterator[None]:
    """Turn an error of a domain into an InputError; an OSError would otherwise count as one of the cache."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise InputError(" ".join(f"{type(error).__name__}: {error}".split())) from error


def _check_block(block: NDArray[Any], domain: Domain, rows: int, *tail: int) -> None:
    """Raise InputError for a block with values that are not finite, or with a wrong shape.

    It must have the shape `tail` after axis 0, as the blocks before it. The first block may be wider than a window.
    """
    if block.ndim != len(domain.window) or (block.shape[1:] != tail if rows else block.shape[2:] != tail[1:]):
        raise InputError(f"wrong shape: a block of {block.shape} does not fit windows of {domain.window}")
    if not np.isfinite(block).all():
        raise InputError("NaN or infinite values")


def _check_ranges(ranges: tuple[tuple[int, int], ...], rows: int, window: int) -> None:
    inside = all(0 <= start <= stop <= rows for start, stop in ranges)
    if not inside or any(a[1] >= b[1] or a[1] - b[0] >= window for a, b in pairwise(ranges)):
        raise InputError(
            f"fault in the domain: finish() returned {ranges[:4]}, wanted ascending row ranges within {rows} "
            f"that share no window"
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
