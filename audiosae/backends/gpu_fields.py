"""Fields in GPU memory: all of them where they fit, else streamed slab by slab while the GPU works on the last one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np

from audiosae.corpus.entries import read_field
from audiosae.corpus.windows import size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from audiosae.corpus.journal import Record
    from audiosae.corpus.windows import Corpus, Slab

    Array = Any

_SHARE = 2  # fields may take one part in this many of what is free on the card
_STAGED = 2**24  # numbers of fields that are put together for one copy to the card
_MIB = 2**20


@dataclass(frozen=True)
class DeviceSlab:
    """A `corpus.Slab` on the card.

    Attributes
    ----------
    flat
        Numbers of all chunks, or of all fields, one after the other.
    starts, pitches
        Where each window begins in `flat`, and the distance between its runs; None where a window is one run.
    run, runs
        Length of the pieces of a window that lie together, and their number.
    """

    flat: Array
    starts: Array
    pitches: Array | None
    run: int
    runs: int

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.starts)


class Fields:
    """Fields on the card: sent once where they fit, and then used by every corpus of the same records.

    What was not put there by `keep` is streamed when it is asked for, and kept when it is asked for again and fits.
    """

    def __init__(self, xp: Any, say: Callable[[str], None]) -> None:  # noqa: ANN401
        self._xp, self._say = xp, say
        self._kept: list[_Kept] = []
        self._windows: WeakKeyDictionary[Corpus, _Windows | None] = WeakKeyDictionary()
        self._asked: WeakSet[Corpus] = WeakSet()

    def clear(self) -> None:
        """Forget what is on the card."""
        self._kept.clear()
        self._windows.clear()
        self._asked.clear()

    def keep(self, corpus: Corpus) -> bool:
        """Put the fields of a corpus on the card, unless they are there; say whether they fit, and tell if not."""
        need, room = 4 * sum(map(size_of, _fields(corpus).values())), self._room()
        if self._holder(corpus) or self._put(corpus, need, room):
            return True
        told = f"{need / _MIB:,.0f} MiB of fields, {room / _MIB:,.0f} MiB on the card are for them"
        self._say(f"{told}: they are sent again in every pass")
        return False

    def slabs(self, corpus: Corpus, order: NDArray[np.int64] | None, memory: int) -> Iterator[DeviceSlab]:
        """Yield a corpus's slabs; each is good until the next is asked for."""
        windows = self._windows_of(corpus)
        if windows is None:
            yield from _streamed(self._xp, corpus.slabs(order, memory=memory))
        else:
            yield from windows.slabs(corpus, order, memory)

    def _windows_of(self, corpus: Corpus) -> _Windows | None:
        """Return where windows begin in fields on the card; None where their fields are not there."""
        if corpus in self._windows:
            return self._windows[corpus]
        holder, again = self._holder(corpus), corpus in self._asked
        self._asked.add(corpus)
        if holder is None and not again:
            return None  # a single pass is streamed: the card works while the next part is read
        if holder is None:
            self._put(corpus, 4 * sum(map(size_of, _fields(corpus).values())), self._room())
            holder = self._holder(corpus)
        self._windows[corpus] = _Windows(self._xp, holder, corpus) if holder else None
        return self._windows[corpus]

    def _holder(self, corpus: Corpus) -> _Kept | None:
        wanted = _fields(corpus).keys()
        return next((kept for kept in self._kept if wanted <= kept.first.keys()), None)

    def _room(self) -> int:
        """Return the bytes that more fields may take."""
        there: int = sum(kept.flat.nbytes for kept in self._kept)
        free = int(self._xp.cuda.runtime.memGetInfo()[0])
        return (free + there) // _SHARE - there

    def _put(self, corpus: Corpus, need: int, room: int) -> bool:
        if need > room:
            return False
        try:
            self._kept.append(_Kept(self._xp, _fields(corpus)))
        except MemoryError:
            self._xp.get_default_memory_pool().free_all_blocks()
            return False
        return True


def _fields(corpus: Corpus) -> dict[str, Record]:
    """Return the records that windows of a corpus lie in, by their fields."""
    return {record.field: record for record in (corpus.records[i] for i in {chunk.record for chunk in corpus.chunks})}


class _Kept:
    """Whole fields on the card, one after the other; `first` says where each begins."""

    def __init__(self, xp: Any, fields: Mapping[str, Record]) -> None:  # noqa: ANN401
        sizes = [size_of(record) for record in fields.values()]
        self.first = dict(zip(fields, accumulate(sizes, initial=0), strict=False))
        self.flat = xp.empty(sum(sizes), np.float32)
        staged, at, held = np.empty(min(sum(sizes), _STAGED), np.float32), 0, 0
        for record in fields.values():
            field = read_field(record).reshape(-1)
            while len(field):
                part = field[: len(staged) - held]
                staged[held : held + len(part)] = part
                field, held = field[len(part) :], held + len(part)
                if held == len(staged):
                    self.flat[at : at + held].set(staged)
                    at, held = at + held, 0
        if held:
            self.flat[at : at + held].set(staged[:held])


class _Windows:
    """Where the windows of a corpus begin in fields that are kept."""

    def __init__(self, xp: Any, kept: _Kept, corpus: Corpus) -> None:  # noqa: ANN401
        self._xp, self._kept = xp, kept
        self._edges = np.concatenate([[0], np.cumsum(corpus.windows_per_chunk())])
        starts, pitches = corpus.starts_and_pitches(kept.first)
        self._starts = xp.asarray(starts)
        self._pitches = None if corpus.runs[1] == 1 else xp.asarray(pitches)

    def slabs(self, corpus: Corpus, order: NDArray[np.int64] | None, memory: int) -> Iterator[DeviceSlab]:
        """Yield what `Corpus.slabs` does, windows in the same order."""
        for group in corpus.groups(order, memory):
            parts = [slice(self._edges[i], self._edges[i + 1]) for i in group if self._edges[i] < self._edges[i + 1]]
            if parts:
                starts, pitches = (
                    places if places is None else self._xp.concatenate([places[part] for part in parts])
                    for places in (self._starts, self._pitches)
                )
                yield DeviceSlab(self._kept.flat, starts, pitches, *corpus.runs)


class _Buffer:
    """Pinned memory and as much on the card, grown when more is asked for."""

    def __init__(self, xp: Any, dtype: Any) -> None:  # noqa: ANN401
        self._xp, self._dtype = xp, np.dtype(dtype)
        self._host: NDArray[Any] = np.empty(0, dtype)
        self._device: Array = None

    def fill(self, array: NDArray[Any], stream: Any) -> Array:  # noqa: ANN401
        """Copy an array to the card in a stream; return it there."""
        size = array.size
        if self._host.size < size:
            pinned = self._xp.cuda.alloc_pinned_memory(size * self._dtype.itemsize)
            self._host = np.frombuffer(pinned, self._dtype, size)
            self._device = self._xp.empty(size, self._dtype)
            stream.wait_event(self._xp.cuda.get_current_stream().record())  # the pool's memory may be in use till then
        self._host[:size] = array
        found = self._device[:size]
        found.set(self._host[:size], stream=stream)
        return found


class _Slot:
    """Buffers of one slab; `ready` when it is on the card, `done` when the card has worked on it."""

    def __init__(self, xp: Any) -> None:  # noqa: ANN401
        self.ready, self.done = xp.cuda.Event(), xp.cuda.Event()
        self._buffers = [_Buffer(xp, dtype) for dtype in (np.float32, np.int64, np.int64)]

    def fill(self, slabs: Iterator[Slab], stream: Any) -> DeviceSlab | None:  # noqa: ANN401
        """Read the next slab and send it; None after the last."""
        slab = next(slabs, None)
        if slab is None:
            return None
        self.ready.synchronize()  # the pinned memory has been copied from
        stream.wait_event(self.done)
        field, starts, pitches = self._buffers
        sent = DeviceSlab(
            field.fill(slab.flat, stream), starts.fill(slab.starts, stream),
            None if slab.runs == 1 else pitches.fill(slab.pitches, stream), slab.run, slab.runs,
        )  # fmt: skip
        self.ready.record(stream)
        return sent


def _streamed(xp: Any, slabs: Iterator[Slab]) -> Iterator[DeviceSlab]:  # noqa: ANN401
    """Yield slabs on the card, each read and sent while the one before is worked on."""
    stream, slots = xp.cuda.Stream(non_blocking=True), (_Slot(xp), _Slot(xp))
    try:
        with ThreadPoolExecutor(1) as reader:
            job, number = reader.submit(slots[0].fill, slabs, stream), 0
            while (slab := job.result()) is not None:
                slot, number = slots[number % 2], number + 1
                job = reader.submit(slots[number % 2].fill, slabs, stream)
                xp.cuda.get_current_stream().wait_event(slot.ready)
                yield slab
                slot.done.record(xp.cuda.get_current_stream())
    finally:
        stream.synchronize()  # what is on its way needs its memory
