"""What `evaluate` classifies: labelled files, or annotated stretches of files, and their division into folds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosae.commands.annotated import AnnotatedSources
from audiosae.corpus.labels import FOLDER, check_rows, read_column, read_labels
from audiosae.errors import InputError
from audiosae.evaluation.folds import make_plan
from audiosae.system.progress import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiosae.commands.reading import Reading
    from audiosae.corpus.sources import Source
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.evaluation.folds import Kind, Plan
    from audiosae.features.stretches import Stretches

_RECORDING = "recording"  # name of the groups of annotations


@dataclass(frozen=True)
class Division:
    """How the user divides files into folds: by a column of the CSV with the labels, or not at all."""

    kind: Kind = "stratified"
    column: str | None = None

    @classmethod
    def of(cls, *, fold: str | None, group: str | None, split: str | None, labels: str | None) -> Division:
        """Return the division of the three options, of which at most one may be given."""
        columns: dict[Kind, str | None] = {"fold": fold, "group": group, "split": split}
        given = [(kind, column) for kind, column in columns.items() if column is not None]
        if len(given) > 1:
            raise InputError(
                f"{' and '.join(f'--{kind}-column' for kind, _ in given)}: wanted only one of them; leave the others "
                "out"
            )
        if given and labels in (FOLDER, None):
            found = "not --labels folder" if labels else "which has it for each file"
            raise InputError(
                f"--{given[0][0]}-column {given[0][1]}: wanted --labels FILE.csv with that column, {found}"
            )
        return cls(*given[0]) if given else cls()

    def values(self, labels: str, sources: Sequence[Source]) -> list[str | None]:
        """Return the value of each source in the column."""
        return read_column(Path(labels), sources, self.column, option=f"--{self.kind}-column")


@dataclass(frozen=True)
class Items:
    """Labelled files or annotations of the used sources of a corpus.

    Attributes
    ----------
    plan
        Labels and folds.
    keys
        Columns that identify an item.
    title
        What is classified.
    stretches
        Stretches of the sources, if these are annotations.
    facts
        Counts for JSON.
    """

    plan: Plan
    keys: dict[str, list[object]]
    title: str
    stretches: Stretches | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelledFiles:
    """Files with a label; `job` has only these."""

    job: Reading
    labels: list[str]
    values: list[str]
    division: Division
    column: str
    unlabelled: list[str]

    @classmethod
    def read(cls, job: Reading, labels: str, column: str | None, division: Division, *, strict: bool) -> LabelledFiles:
        """Read the label of each source, and the value that divides the sources."""
        known = read_labels(labels, job.sources, column)
        values = division.values(labels, job.sources) if division.column else known
        if labels != FOLDER:
            check_rows(Path(labels), job.sources)
        known = [None if value is None else label for label, value in zip(known, values, strict=True)]
        unlabelled = job.report_unlabelled(known, "which are left out", strict=strict)
        kept = [number for number, label in enumerate(known) if label is not None]
        job = replace(job, sources=[job.sources[number] for number in kept])
        own = [known[number] or "" for number in kept]
        return cls(job, own, [values[number] or "" for number in kept], division, column or "label", unlabelled)

    def items(self, corpus: EngineCorpus, seed: int) -> Items:
        """Return the files that can be used, and their folds."""
        used = corpus.only(corpus.used)
        labels, values = ([each[i] for i in corpus.used] for each in (self.labels, self.values))
        digests = [record.digest for record in used.records]
        kind, column = self.division.kind, self.division.column or ""
        plan = make_plan(labels, kind=kind, values=values, column=column, seed=seed, digests=digests)
        title = f"{self.column} of {len(used.records)} files: {plan.description}"
        facts = {"without_label": len(self.unlabelled), "unlabelled": self.unlabelled}
        return Items(plan, {"file": [record.file for record in used.records]}, title, None, facts)


@dataclass(frozen=True)
class LabelledAnnotations:
    """Annotations with a label; recordings, or the values of a column, are not divided between folds."""

    job: Reading
    annotated: AnnotatedSources
    values: list[str]
    division: Division
    column: str
    strict: bool

    @classmethod
    def read(
        cls, job: Reading, table: Path, labels: str | None, column: str | None, division: Division, *, strict: bool
    ) -> LabelledAnnotations:
        """Read annotations, and from the CSV `labels` the values that divide their recordings."""
        annotated = AnnotatedSources.read(job, table, column, labelled=True)
        values: list[str] = []
        if labels and division.column:
            every = division.values(labels, annotated.job.sources)
            known = [number for number, value in enumerate(every) if value is not None]
            annotated = annotated.only(known, f"of recordings without a value in column {division.column}")
            values = [value for value in every if value is not None]
        return cls(annotated.job, annotated, values, division, column or "label", strict)

    def items(self, corpus: EngineCorpus, seed: int) -> Items:
        """Return the annotations that can be used, and their folds."""
        annotated, used = self.annotated.inside(corpus), corpus.only(corpus.used)
        annotated.report(strict=self.strict)
        if self.values:
            values = [self.values[number] for number in corpus.used]
        else:  # copies are one recording
            first = {record.digest: record.file for record in reversed(used.records)}
            values = [first[record.digest] for record in used.records]
        labels = [annotation.label for annotation in annotated.annotations]
        if not self.values and len({*zip(labels, annotated.source, strict=True)}) == len({*labels}):
            raise InputError(
                f"--annotations {annotated.path}: each label is in one recording only, and a recording is not divided "
                f"between training and test; wanted labels that are in several of the {len(used.records)} recordings"
            )
        kind, column = (self.division.kind, self.division.column) if self.values else ("group", _RECORDING)
        divided = [values[number] for number in annotated.source]
        plan = make_plan(labels, kind=kind, values=divided, column=column or "", seed=seed, noun="annotation")
        recordings = counted(len(used.records), "recording")
        title = f"{self.column} of {len(labels)} annotations in {recordings}: {plan.description}"
        return Items(plan, annotated.keys(used), title, annotated.stretches(used), annotated.facts())
