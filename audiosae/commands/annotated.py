"""The option ``--annotations``: annotated stretches of the sources of a command, in place of whole files."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np

from audiosae.commands.shared_options import AnyPath
from audiosae.corpus.annotation_files import annotated_sources
from audiosae.corpus.annotation_tables import read_annotations
from audiosae.errors import InputError
from audiosae.features.stretches import Stretches, check_domain
from audiosae.system.parameters import Option
from audiosae.system.progress import counted
from audiosae.system.text import some_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiosae.commands.reading import Reading
    from audiosae.corpus.annotation_tables import Annotation
    from audiosae.engine.corpus import EngineCorpus

Annotations = Annotated[
    AnyPath | None,
    Option(
        "Annotated stretches, which are used in place of whole files: a Raven selection table, an Audacity label "
        "track, a table of BirdNET-Analyzer, a CSV with the columns file,start,end,label, or a folder of such tables.",
        "Input",
        metavar="TABLE",
        typed=Path,
    ),
]
_OUTSIDE = "outside of their recording"


@dataclass(frozen=True)
class AnnotatedSources:
    """Annotations of the sources of a command.

    Attributes
    ----------
    path
        The table, or the folder of tables.
    job
        The sources that have annotations.
    annotations, source
        Annotations in order of source and start, and the number of the source of each.
    left_out
        Annotations that cannot be used, by reason.
    """

    path: Path
    job: Reading
    annotations: list[Annotation]
    source: list[int]
    left_out: dict[str, list[Annotation]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def read(cls, job: Reading, path: Path, column: str | None, *, labelled: bool = False) -> AnnotatedSources:
        """Read the tables and find their recordings among the sources of a job.

        Parameters
        ----------
        column
            Column of the table with the labels.
        labelled
            Whether annotations without a label are left out.

        Raises
        ------
        InputError
            The sources are not recordings, a table cannot be read, or no annotation can be used.
        """
        check_domain(job.domain, "--annotations")
        every = read_annotations(path, column=column, say=job.notes.say)
        result = cls(path, job, [], [])
        missing, seen = f"of recordings that are not among the {counted(len(job.sources), 'source')}", set()
        kept: list[tuple[int, float, float, int, Annotation]] = []
        for annotation, number in zip(every, annotated_sources(every, job.sources), strict=True):
            key = (number, annotation.start, annotation.end, annotation.label)
            reason = (
                missing
                if number is None
                else "without duration"
                if annotation.end <= annotation.start
                else "without a label"
                if labelled and not annotation.label
                else "given more than once"
                if key in seen
                else ""
            )
            seen.add(key)
            if reason or number is None:
                result.left_out[reason].append(annotation)
            else:
                kept.append((number, annotation.start, annotation.end, len(kept), annotation))
        if not kept:
            raise result.none_left()
        kept.sort(key=lambda each: each[:4])
        used = sorted({number for number, *_ in kept})
        order = {number: at for at, number in enumerate(used)}
        return replace(
            result,
            job=replace(job, sources=[job.sources[number] for number in used]),
            annotations=[annotation for *_, annotation in kept],
            source=[order[number] for number, *_ in kept],
        )

    def only(self, sources: Sequence[int], reason: str) -> AnnotatedSources:
        """Return the annotations of some of the sources; those of the others are left out."""
        order = {number: at for at, number in enumerate(sources)}
        pairs = list(zip(self.annotations, self.source, strict=True))
        for annotation, number in pairs:
            if number not in order:
                self.left_out[reason].append(annotation)
        kept = [(annotation, order[number]) for annotation, number in pairs if number in order]
        return replace(
            self,
            job=replace(self.job, sources=[self.job.sources[number] for number in sources]),
            annotations=[annotation for annotation, _ in kept],
            source=[number for _, number in kept],
        )

    def inside(self, corpus: EngineCorpus) -> AnnotatedSources:
        """Return the annotations that lie in the used part of a recording; `corpus` has a record of each source."""
        usable = self.only(corpus.used, "of skipped recordings")
        extents = [corpus.records[number].extent for number in corpus.used]
        kept = []
        for annotation, number in zip(usable.annotations, usable.source, strict=True):
            if annotation.start < extents[number] and annotation.end > 0:
                kept.append((annotation, number))
            else:
                usable.left_out[_OUTSIDE].append(annotation)
        if not kept:
            raise usable.none_left()
        return replace(
            usable, annotations=[annotation for annotation, _ in kept], source=[number for _, number in kept]
        )

    def stretches(self, corpus: EngineCorpus) -> Stretches:
        """Return the stretches of the recordings of a corpus, all of which are used; they end with their recording."""
        extent = np.array([record.extent for record in corpus.records])[self.source]
        start, end = np.array([(each.start, each.end) for each in self.annotations]).T
        if cut := int((end > extent).sum() + (start < 0).sum()):
            beyond = "1 annotation reaches" if cut == 1 else f"{cut:,} annotations reach"
            self.job.notes.say(f"--annotations {self.path}: {beyond} beyond the recording; the rest is used")
        return Stretches(np.array(self.source, np.int64), np.maximum(start, 0.0), np.minimum(end, extent))

    def report(self, *, strict: bool) -> None:
        """Say how many annotations are left out, and why; raise InputError if `strict`."""
        count = sum(map(len, self.left_out.values()))
        if count:
            line = f"{count} of {count + len(self.annotations)} annotations are left out: {self._reasons()}"
            if strict:
                raise InputError(f"--strict: {line}; correct {self.path}, or leave --strict out")
            self.job.notes.say(f"--annotations {self.path}: {line}")

    def none_left(self) -> InputError:
        """Return the error that no annotation can be used."""
        count = sum(map(len, self.left_out.values()))
        reasons = self._reasons() or "the table is empty"
        return InputError(f"--annotations {self.path}: none of {counted(count, 'annotation')} can be used: {reasons}")

    def keys(self, corpus: EngineCorpus) -> dict[str, list[object]]:
        """Return the columns that identify the annotations: file, start, end."""
        return {
            "file": [corpus.records[number].file for number in self.source],
            "start": [annotation.start for annotation in self.annotations],
            "end": [annotation.end for annotation in self.annotations],
        }

    def facts(self) -> dict[str, object]:
        """Return the counts for JSON."""
        left_out = {reason: len(annotations) for reason, annotations in self.left_out.items()}
        return {"annotations": len(self.annotations), "annotations_left_out": left_out}

    def _reasons(self) -> str:
        parts = []
        for reason, those in self.left_out.items():
            by_file = reason.startswith("of ")
            named = dict.fromkeys(each.file if by_file else f"{each.table} line {each.line}" for each in those)
            parts.append(f"{len(those)} {reason} ({some_of(list(named))})")
        return ", ".join(parts)
