"""Fields in GPU memory: all of them where they fit, else streamed slab by slab while the GPU works on the last one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from audiosae.corpus.windows import Corpus, Slab

    Array = Any

_SHARE = 2  # fields may take one part in this many of what is free on the card
_MIB = 2**20


@dataclass(frozen=True)
class DeviceSlab:
    """A `corpus.Slab` on the card.

    Attributes
    ----------
    flat
        Numbers of all chunks, one after the other.
    starts, pitches
        Where each window begins in `flat`, and the distance between its runs.
    run, runs
        Length of the pieces of a window that lie together, and their number.
    """

    flat: Array
    starts: Array
    pitches: Array
    run: int
    runs: int

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.starts)


class Fields:
    """The slabs of corpora, on the card.

    A corpus that is asked for again (each epoch does) is put on the card whole, where it fits.

    Parameters
    ----------
    xp
        CuPy.
    say
        Is told when there is no room.
    """

    def __init__(self, xp: Any, say: Callable[[str], None]) -> None:  # noqa: ANN401
        self._xp, self._say = xp, say
        self._kept: WeakKeyDictionary[Corpus, _Resident | None] = WeakKeyDictionary()
        self._asked: WeakKeyDictionary[Corpus, int] = WeakKeyDictionary()

    def clear(self) -> None:
        """Forget what is on the card."""
        self._kept.clear()

    def slabs(self, corpus: Corpus, order: NDArray[np.int64] | None, memory: int) -> Iterator[DeviceSlab]:
        """Yield a corpus's slabs; each is good until the next is asked for."""
        self._asked[corpus] = self._asked.get(corpus, 0) + 1
        if self._asked[corpus] > 1 and corpus not in self._kept:
            self._kept[corpus] = self._resident(corpus, memory)
        kept = self._kept.get(corpus)
        if kept is not None:
            yield from kept.slabs(corpus, order, memory)
        else:
            yield from _streamed(self._xp, corpus.slabs(order, memory=memory))

    def _resident(self, corpus: Corpus, memory: int) -> _Resident | None:
        """Put all fields of a corpus on the card; None where they do not fit, which is told."""
        need = corpus.bytes + 2 * np.dtype(np.int64).itemsize * len(corpus)
        free = self._xp.cuda.runtime.memGetInfo()[0]
        if need <= free // _SHARE:
            try:
                return _Resident(self._xp, corpus, memory)
            except MemoryError:
                self._xp.get_default_memory_pool().free_all_blocks()
        told = f"{need / _MIB:,.0f} MiB of fields, {free / _MIB:,.0f} MiB are free on the card"
        self._say(f"{told}: they are sent again in every epoch")
        return None


class _Resident:
    """All of a corpus on the card."""

    def __init__(self, xp: Any, corpus: Corpus, memory: int) -> None:  # noqa: ANN401
        self._xp = xp
        self._edges = np.concatenate([[0], np.cumsum(corpus.windows_per_chunk())])
        self._flat = xp.empty(corpus.bytes // 4, np.float32)
        self._starts, self._pitches = (xp.empty(len(corpus), np.int64) for _ in range(2))
        self._run = self._runs = at = number = 0
        for slab in corpus.slabs(memory=memory):
            stop, end = at + slab.flat.size, number + len(slab)
            self._flat[at:stop].set(slab.flat)
            self._starts[number:end].set(slab.starts + at)
            self._pitches[number:end].set(slab.pitches)
            self._run, self._runs, at, number = slab.run, slab.runs, stop, end

    def slabs(self, corpus: Corpus, order: NDArray[np.int64] | None, memory: int) -> Iterator[DeviceSlab]:
        """Yield what `Corpus.slabs` does, windows in the same order."""
        for group in corpus.groups(order, memory):
            parts = [slice(self._edges[i], self._edges[i + 1]) for i in group if self._edges[i] < self._edges[i + 1]]
            if parts:
                starts = self._xp.concatenate([self._starts[part] for part in parts])
                pitches = self._xp.concatenate([self._pitches[part] for part in parts])
                yield DeviceSlab(self._flat, starts, pitches, self._run, self._runs)


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
            field.fill(slab.flat, stream), starts.fill(slab.starts, stream), pitches.fill(slab.pitches, stream),
            slab.run, slab.runs,
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
