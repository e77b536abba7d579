"""The shared start of every command on sources: find them, check the output, read labels and dates, start an engine."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosae.corpus.labels import FOLDER, read_labels
from audiosae.corpus.sources import named_paths, scan, some_of
from audiosae.engine import start_engine
from audiosae.engine.corpus import read
from audiosae.errors import InputError
from audiosae.recordings.dates import read_dates
from audiosae.system.progress import Notes

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from audiosae.commands.shared_options import Machine
    from audiosae.corpus.journal import Record
    from audiosae.corpus.sources import Named, Source
    from audiosae.domain import Domain
    from audiosae.engine import Engine
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.recordings.dates import Dates, When
    from audiosae.system.progress import Progress


@dataclass(frozen=True)
class Reading:
    """The sources of one command and how they are read.

    Attributes
    ----------
    domain
        That of the sources.
    sources
        In the order of their names.
    machine
        Options of the machine.
    notes
        Takes the messages.
    trained
        Whether the sources are for a model that is trained already.
    """

    domain: Domain
    sources: list[Source]
    machine: Machine
    notes: Notes
    trained: bool = True

    @property
    def paths(self) -> list[Path]:
        """Paths of the sources."""
        return [source.path for source in self.sources]

    def inputs(self, labels: str | None = None) -> list[Path]:
        """Return every file that is read, and that no output may replace."""
        return [*self.paths, *([Path(labels)] if labels and labels != FOLDER else [])]

    def dates(self, when: When, time_zone: str | None) -> Dates:
        """Return when the recordings began."""
        return read_dates(self.paths, when=when, time_zone=time_zone)

    def labels(
        self, labels: str | None, column: str | None, consequence: str, *, strict: bool
    ) -> tuple[list[str | None] | None, list[str]]:
        """Return the label of each source, None where no labels are asked for, and the names of those without one."""
        if labels is None:
            return None, []
        known = read_labels(labels, self.sources, column)
        return known, self.report_unlabelled(known, consequence, strict=strict)

    def report_unlabelled(self, labels: Sequence[str | None], consequence: str, *, strict: bool) -> list[str]:
        """Return the names of the sources without a label, after a message on them; with `strict` raise InputError."""
        names = [source.name for source, label in zip(self.sources, labels, strict=True) if label is None]
        missing = f"no label for {len(names)} of {len(self.sources)} sources"
        if names and strict:
            raise InputError(f"--strict: {missing}: {some_of(names)}")
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

        with start_engine(
            machine.engine, backend=machine.backend, tf32=machine.tf32, cache=machine.worker_folder, say=say
        ) as engine:
            engine.backend.say = self.notes.say
            yield engine

    def read(self, engine: Engine, *, interleaved: bool = False) -> EngineCorpus:
        """Decode the sources, or find them in the cache; report what was skipped.

        Parameters
        ----------
        interleaved
            As in `Engine.ingest`.

        Raises
        ------
        InputError
            No source can be used with the trained model.
        """
        machine = self.machine
        corpus = read(
            self.domain,
            self.sources,
            engine,
            cache=machine.folder,
            workers=machine.processes,
            progress=self.notes,
            interleaved=interleaved,
        )
        if not self.trained:
            return corpus
        self.notes.close()
        if not corpus.used:
            first = corpus.skipped[0]
            raise InputError(
                f"none of {len(self.sources)} sources suits a model of {self.domain.name}; the first is "
                f"{first.file}: {first.reason}"
            )
        for record in corpus.skipped:
            self.notes.say(f"skipped {record.file}: {record.reason}")
        self.report_used(corpus.records)
        return corpus

    def report_used(self, records: Sequence[Record]) -> None:
        """Name the used sources that are not whole, and those with a remark, in a line for each kind."""
        used = [record for record in records if record.status == "used"]
        if parts := [f"{record.file} ({record.reason})" for record in used if record.reason]:
            self.notes.say(f"used as far as they can be decoded, {len(parts)} of {len(used)} sources: {some_of(parts)}")
        for remark in dict.fromkeys(record.remark for record in used if record.remark):
            names = [record.file for record in used if record.remark == remark]
            self.notes.say(f"{len(names)} of {len(used)} sources have {remark}: {some_of(names)}")

    @contextmanager
    def corpus(self, *, interleaved: bool = False) -> Iterator[EngineCorpus]:
        """Start the engine and read the sources."""
        with self.engine() as engine:
            yield self.read(engine, interleaved=interleaved)

    def on(self, domain: Domain) -> Reading:
        """Return the same sources for a domain whose open options are resolved."""
        return replace(self, domain=domain)

    def of(self, sources: Named) -> Reading:
        """Return the same for other sources."""
        return replace(self, sources=_scan(self.domain, sources, self.notes, trained=self.trained))


@contextmanager
def reading(
    domain: Domain,
    sources: Named,
    machine: Machine,
    progress: bool | Progress,  # noqa: FBT001 (as in the commands)
    *,
    trained: bool = True,
) -> Iterator[Reading]:
    """Find the sources of a domain; messages and progress go to `progress` and into the notes."""
    with Notes(progress) as notes:
        yield Reading(domain, _scan(domain, sources, notes, trained=trained), machine, notes, trained)


def labels_option(labels: os.PathLike[str] | str | None, column: str | None) -> str | None:
    """Return the option as text; raise InputError if a label column is given without labels."""
    if column and labels is None:
        raise InputError(f"--label-column {column}: wanted together with --labels FILE.csv")
    return None if labels is None else str(labels)


def as_path(path: os.PathLike[str] | str | None) -> Path | None:
    """Return an optional path as a Path."""
    return None if path is None else Path(path)


def _scan(domain: Domain, sources: Any, notes: Notes, *, trained: bool) -> list[Source]:  # noqa: ANN401
    return scan(named_paths(sources), domain.suffixes, domain=domain.name, say=notes.say, model=trained)
