"""The common start of commands that read sources: list the sources, read labels and dates, start the engine."""

from __future__ import annotations

from array import array
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from audiosae.corpus.labels import FOLDER, read_labels
from audiosae.corpus.room import Room
from audiosae.corpus.sources import named_paths, scan
from audiosae.domain import plugin_call
from audiosae.engine import start_engine
from audiosae.engine.corpus import read
from audiosae.errors import InputError
from audiosae.system.many import Made
from audiosae.system.progress import Notes, counted
from audiosae.system.text import some_of
from audiosae.training.fit import with_short_skipped

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from audiosae.commands.shared_options import Machine
    from audiosae.corpus.journal import Record
    from audiosae.corpus.sources import Named, Source
    from audiosae.domain import Domain
    from audiosae.engine import Engine
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.system.progress import Progress


_NAMED = 3  # skipped sources of one kind, each with its reason; of more, only their number


@dataclass(frozen=True)
class Reading:
    """The sources of one command and how they are read.

    Attributes
    ----------
    domain
        Domain of the sources.
    sources
        Sources in the order of their names.
    machine
        Options of the machine.
    notes
        Receives the messages.
    folder
        Folder for decoded fields.
    trained
        Whether the sources are for a trained model, not for training.
    again
        Whether fields that would take too much room on the disk are decoded again when they are read, not kept.
    """

    domain: Domain
    sources: list[Source]
    machine: Machine
    notes: Notes
    folder: Path
    trained: bool = True
    again: bool = False

    @property
    def paths(self) -> Sequence[Path]:
        """Paths of the sources."""
        return Made(lambda number: self.sources[number].path, range(len(self.sources)))

    @property
    def readable(self) -> list[Path]:
        """Paths of the sources that can be opened; a pipe would block."""
        return [source.path for source in self.sources if not source.fault]

    def inputs(self, labels: str | None = None) -> list[Path]:
        """Return every file that is read, which no output may replace."""
        return [*self.paths, *([Path(labels)] if labels and labels != FOLDER else [])]

    def labels(
        self, labels: str | None, column: str | None, consequence: str, *, strict: bool
    ) -> tuple[list[str | None] | None, list[str]]:
        """Return the label of each source (None without `labels`), and the names of the sources without a label."""
        if labels is None:
            return None, []
        known = read_labels(labels, self.sources, column)
        return known, self.report_unlabelled(known, consequence, strict=strict)

    def report_unlabelled(self, labels: Sequence[str | None], consequence: str, *, strict: bool) -> list[str]:
        """Report and return the names of the sources without a label; raise InputError if `strict`."""
        names = [source.name for source, label in zip(self.sources, labels, strict=True) if label is None]
        missing = f"no label for {len(names)} of {len(self.sources)} sources"
        if names and strict:
            raise InputError(f"--strict: {missing} ({some_of(names)}); add the labels, or leave --strict out")
        if names:
            self.notes.say(f"{missing}, {consequence}: {some_of(names)}")
        return names

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """Start the engine that the machine's options name."""
        machine = self.machine

        def say(line: str) -> None:
            if machine.engine != "here" or not (self.trained and line.startswith("backend numpy")):
                self.notes.say(line)  # without a GPU, only training names the backend

        cache = machine.worker_folder(self.folder)
        with start_engine(machine.engine, backend=machine.backend, tf32=machine.tf32, cache=cache, say=say) as engine:
            engine.backend.say = self.notes.say
            yield engine

    def read(
        self,
        engine: Engine,
        *,
        interleaved: bool = False,
        padded: bool = True,
        beside: Callable[[], Domain | None] = lambda: None,
    ) -> EngineCorpus:
        """Decode the sources or read them from the cache; report skipped sources.

        Parameters
        ----------
        interleaved
            See `Engine.ingest`.
        padded
            Whether the command pads a source that is shorter than a window; else it skips it.
        beside
            See `audiosae.corpus.ingest.ingest`.

        Raises
        ------
        InputError
            No source can be used with the trained model.
        """
        machine, notes = self.machine, self.notes
        room = Room(self.domain, self.folder, machine.keeps, notes.say)
        corpus = read(
            self.domain,
            self.sources,
            engine,
            cache=self.folder,
            workers=machine.processes,
            progress=notes,
            interleaved=interleaved,
            beside=beside,
            again=room.is_too_small if self.again else lambda *_: False,
        )
        with plugin_call(self.domain, "compare"):
            for line in self.domain.compare(self.paths):
                notes.say(line)
        if self.trained:
            notes.close()
            if not corpus.used:
                first = corpus.skipped[0]
                raise InputError(
                    f"none of {len(self.sources)} sources can be used with this model of the domain "
                    f"{self.domain.name}; the first is {first.file}: {first.reason}"
                )
            self._report_skipped(corpus.skipped)
            self.report_used(corpus.records)
            self._report_short(corpus, padded=padded)
        return corpus

    def report_used(self, records: Sequence[Record]) -> None:
        """Report used sources that are incomplete, and one line for each remark on used sources."""
        parts: list[str] = []
        remarks: dict[str, array[int]] = {}
        used = 0
        for number, record in enumerate(records):
            if record.status == "used":
                used += 1
                if record.reason:
                    parts.append(f"{record.file} ({record.reason})")
                if record.remark:
                    remarks.setdefault(record.remark, array("L")).append(number)
        if parts:
            self.notes.say(f"{len(parts)} of {used} sources have faults but are used: {some_of(parts)}")
        for remark, numbers in remarks.items():
            names = Made(lambda number: records[number].file, numbers)
            self.notes.say(f"{len(names)} of {used} sources have {remark}: {some_of(names)}")

    def _report_short(self, corpus: EngineCorpus, *, padded: bool) -> None:
        """Report sources that are shorter than a window."""
        short = [r for r in with_short_skipped(corpus) if r.status != "used" and r.shape]
        if padded and short:
            self.notes.say(
                f"{len(short)} of {len(corpus.records)} sources are shorter than a window and are padded (train and "
                f"report skip them): {some_of([record.file for record in short])}"
            )
        self._report_skipped([] if padded else short)

    def _report_skipped(self, skipped: Sequence[Record]) -> None:
        """Report skipped sources, each with its reason; of more than a few of one kind, only how many they are."""
        kinds: dict[str, list[Record]] = {}
        for record in skipped:
            kinds.setdefault(record.reason.partition(":")[0], []).append(record)
        for kind, records in kinds.items():
            if len(records) > _NAMED:
                files = some_of([record.file for record in records])
                self.notes.say(f"skipped {len(records):,} of {counted(len(self.sources), 'source')}, {kind}: {files}")
            else:
                for record in records:
                    self.notes.say(f"skipped {record.file}: {record.reason}")

    @contextmanager
    def corpus(
        self,
        *,
        interleaved: bool = False,
        padded: bool = True,
        beside: Callable[[], Domain | None] = lambda: None,
    ) -> Iterator[EngineCorpus]:
        """Start the engine and read the sources; parameters as in `read`."""
        with self.engine() as engine:
            yield self.read(engine, interleaved=interleaved, padded=padded, beside=beside)

    def of(self, sources: Named) -> Reading:
        """Return a copy for other sources."""
        return replace(self, sources=_scan(self.domain, sources, self.notes, trained=self.trained))


@contextmanager
def reading(
    domain: Domain,
    sources: Named,
    machine: Machine,
    *,
    progress: bool | Progress,
    trained: bool = True,
    again: bool = False,
) -> Iterator[Reading]:
    """List the sources of a domain; messages and progress go to `progress` and into the notes."""
    with Notes(progress) as notes, machine.folder() as folder:
        yield Reading(domain, _scan(domain, sources, notes, trained=trained), machine, notes, folder, trained, again)


def labels_option(labels: os.PathLike[str] | str | None, column: str | None) -> str | None:
    """Return the option as text; raise InputError if a label column is given without labels."""
    if column and labels is None:
        raise InputError(
            f"--label-column {column} works only with --labels FILE.csv; add it, or leave --label-column out"
        )
    return None if labels is None else str(labels)


def _scan(domain: Domain, sources: Named, notes: Notes, *, trained: bool) -> list[Source]:
    return scan(
        named_paths(sources),
        domain.suffixes,
        domain=domain.name,
        say=notes.say,
        model=trained,
        missing=domain.missing_suffixes,
    )
