"""Fields in GPU memory: all of them if they fit, else streamed slab by slab while the GPU works on the last one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from audiosae.corpus.fields import read_field
from audiosae.corpus.windows import size_of
from audiosae.system.interrupts import hold_interrupts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

    from numpy.typing import DTypeLike, NDArray

    from audiosae.backends.cpu import Array, Backend
    from audiosae.corpus.journal import Record
    from audiosae.corpus.windows import Corpus, Slab

_SHARE = 2  # fields may take 1 / _SHARE of the free GPU memory
_STAGING = 2**24  # values that are sent to the GPU in one copy
_MIB = 2**20


@dataclass(frozen=True)
class DeviceSlab:
    """A `corpus.windows.Slab` in GPU memory.

    Attributes
    ----------
    flat
        Values of all chunks, or of all fields, concatenated.
    starts, pitches
        Index of the beginning of each window in `flat`, and the distance between its runs; no pitches if a window is
        one run.
    run, runs
        Length of the contiguous runs of a window, and their number.
    """

    flat: Array
    starts: Array
    pitches: Array | None
    run: int
    runs: int

    def __len__(self) -> int:
        return len(self.starts)


class Fields:
    """Fields in GPU memory: sent once if they fit, and then used by every corpus of the same records.

    Fields that `keep_fields` did not load are streamed in the first pass, and loaded in the second pass if they fit.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend, self._xp = backend, backend.xp
        self._stored: list[_StoredFields] = []
        self._windows: WeakKeyDictionary[Corpus, _StoredWindows | None] = WeakKeyDictionary()

    def clear(self) -> None:
        """Free the memory of all fields."""
        self._stored.clear()
        self._windows.clear()

    def keep_fields(self, corpus: Corpus) -> bool:
        """Load the fields of a corpus unless they are loaded; return whether they fit, and report if not."""
        fields, free = _fields(corpus), self._free_bytes()
        if self._find(fields) or self._load(fields):
            return True
        self._backend.say(
            f"not enough GPU memory for {_bytes_of(fields) / _MIB:,.0f} MiB of decoded sources ({free / _MIB:,.0f} MiB "
            "available); they are sent again in every pass"
        )
        return False

    def slabs(self, corpus: Corpus, order: NDArray[np.int64] | None, memory: int) -> Iterator[DeviceSlab]:
        """Yield the slabs of a corpus; each is valid until the next one is requested."""
        if windows := self._windows_of(corpus):
            yield from windows.slabs(corpus, order, memory)
        else:
            yield from _streamed(self._xp, corpus.slabs(order, memory=memory))

    def _windows_of(self, corpus: Corpus) -> _StoredWindows | None:
        """Return the windows of a corpus in loaded fields; None if its fields are streamed, as in a first pass."""
        if self._windows.get(corpus) is None:
            fields = _fields(corpus)
            stored = self._find(fields) or (self._load(fields) if corpus in self._windows else None)
            self._windows[corpus] = _StoredWindows(self._xp, stored, corpus) if stored else None
        return self._windows[corpus]

    def _find(self, fields: Mapping[str, Record]) -> _StoredFields | None:
        return next((stored for stored in self._stored if fields.keys() <= stored.first.keys()), None)

    def _free_bytes(self) -> int:
        """Return the number of bytes that further fields may take."""
        used: int = sum(stored.flat.nbytes for stored in self._stored)
        return (int(self._xp.cuda.runtime.memGetInfo()[0]) + used) // _SHARE - used

    def _load(self, fields: Mapping[str, Record]) -> _StoredFields | None:
        """Load fields into GPU memory; None if they do not fit."""
        if _bytes_of(fields) > self._free_bytes():
            return None
        try:
            self._stored.append(_StoredFields(self._xp, fields))
        except MemoryError:
            self._xp.get_default_memory_pool().free_all_blocks()
            return None
        return self._stored[-1]


def _fields(corpus: Corpus) -> dict[str, Record]:
    """Return the records of a corpus that have windows, by the paths of their fields."""
    return {record.field: record for record in (corpus.records[i] for i in {chunk.record for chunk in corpus.chunks})}


def _bytes_of(fields: Mapping[str, Record]) -> int:
    return 4 * sum(map(size_of, fields.values()))


class _StoredFields:
    """Whole fields in GPU memory, concatenated; `first` maps each field to its offset."""

    def __init__(self, xp: ModuleType, fields: Mapping[str, Record]) -> None:
        sizes = [size_of(record) for record in fields.values()]
        self.first = dict(zip(fields, accumulate(sizes, initial=0), strict=False))
        self.flat = xp.empty(sum(sizes), np.float32)
        staging, sent, filled = np.empty(min(sum(sizes), _STAGING), np.float32), 0, 0
        for record in fields.values():
            field, at = read_field(record).reshape(-1), 0
            while at < len(field):
                part = field[at : at + len(staging) - filled]
                staging[filled : filled + len(part)] = part
                at, filled = at + len(part), filled + len(part)
                if filled == len(staging):
                    self.flat[sent : sent + filled].set(staging)
                    sent, filled = sent + filled, 0
        if filled:
            self.flat[sent : sent + filled].set(staging[:filled])


class _StoredWindows:
    """Offsets of the windows of a corpus in stored fields."""

    def __init__(self, xp: ModuleType, stored: _StoredFields, corpus: Corpus) -> None:
        self._xp, self._stored = xp, stored
        self._edges = np.concatenate([[0], np.cumsum(corpus.windows_per_chunk())])
        starts, pitches = corpus.starts_and_pitches(stored.first)
        self._starts_and_pitches = (xp.asarray(starts), None if corpus.runs[1] == 1 else xp.asarray(pitches))

    def slabs(self, corpus: Corpus, order: NDArray[np.int64] | None, memory: int) -> Iterator[DeviceSlab]:
        for group in corpus.groups(order, memory):
            parts = [slice(self._edges[i], self._edges[i + 1]) for i in group if self._edges[i] < self._edges[i + 1]]
            if parts:
                starts, pitches = (
                    offsets if offsets is None else self._xp.concatenate([offsets[part] for part in parts])
                    for offsets in self._starts_and_pitches
                )
                yield DeviceSlab(self._stored.flat, starts, pitches, *corpus.runs)


class _Buffer:
    """A buffer in pinned main memory and one of the same size in GPU memory; both grow on demand."""

    def __init__(self, xp: ModuleType, dtype: DTypeLike) -> None:
        self._xp, self._dtype = xp, np.dtype(dtype)
        self._host: NDArray[Any] = np.empty(0, dtype)
        self._device: Array = None

    def send(self, array: NDArray[Any], stream: Array) -> Array:
        if self._host.size < array.size:
            pinned = self._xp.cuda.alloc_pinned_memory(array.size * self._dtype.itemsize)
            self._host = np.frombuffer(pinned, self._dtype, array.size)
            self._device = self._xp.empty(array.size, self._dtype)
            stream.wait_event(self._xp.cuda.get_current_stream().record())  # earlier launches may use the pool's memory
        self._host[: array.size] = array
        sent = self._device[: array.size]
        sent.set(self._host[: array.size], stream=stream)
        return sent


class _Slot:
    """Buffers of one slab; `ready` when it is in GPU memory, `done` when the GPU has processed it."""

    def __init__(self, xp: ModuleType) -> None:
        self.ready, self.done = xp.cuda.Event(), xp.cuda.Event()
        self._flat, self._starts, self._pitches = (_Buffer(xp, dtype) for dtype in (np.float32, np.int64, np.int64))

    def send_next(self, slabs: Iterator[Slab], stream: Array) -> DeviceSlab | None:
        """Read the next slab and send it; None after the last."""
        if (slab := next(slabs, None)) is None:
            return None
        self.ready.synchronize()  # the last copy from the pinned memory is complete
        stream.wait_event(self.done)
        flat, starts = self._flat.send(slab.flat, stream), self._starts.send(slab.starts, stream)
        pitches = None if slab.runs == 1 else self._pitches.send(slab.pitches, stream)
        self.ready.record(stream)
        return DeviceSlab(flat, starts, pitches, slab.run, slab.runs)


def _streamed(xp: ModuleType, slabs: Iterator[Slab]) -> Iterator[DeviceSlab]:
    """Yield slabs in GPU memory; each is read and sent while the previous one is processed."""
    stream, slots = xp.cuda.Stream(non_blocking=True), (_Slot(xp), _Slot(xp))
    try:
        with ThreadPoolExecutor(1) as reader:
            with hold_interrupts():  # a thread that is started by halves would never end
                job, number = reader.submit(slots[0].send_next, slabs, stream), 0
            while (slab := job.result()) is not None:
                slot, number = slots[number % 2], number + 1
                job = reader.submit(slots[number % 2].send_next, slabs, stream)
                xp.cuda.get_current_stream().wait_event(slot.ready)
                yield slab
                slot.done.record(xp.cuda.get_current_stream())
    finally:
        stream.synchronize()  # copies under way still need their buffers
