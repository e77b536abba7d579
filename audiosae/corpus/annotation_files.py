"""The recordings that tables of annotations name, among the sources of a command."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from audiosae.corpus.recording_names import RecordingNames, path_parts
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiosae.corpus.annotation_tables import Annotation
    from audiosae.corpus.sources import Source

_SHOWN = 3  # sources in a message


def annotated_sources(
    annotations: Sequence[Annotation], sources: Sequence[Source], *, option: str = "--annotations"
) -> list[int | None]:
    """Return the number of the source of each annotation, None if its recording is not among the sources.

    A table may have been written on another computer: `RecordingNames` finds its recordings.

    Raises
    ------
    InputError
        Several sources agree equally well, or two recordings of the tables are the same source.
    """
    finder, found = RecordingNames(sources), {}
    for file, table in dict.fromkeys((each.file, each.table) for each in annotations):
        numbers = finder.find(file, table)
        if len(numbers) > 1:
            names = " or ".join(sources[number].name for number in numbers[:_SHOWN])
            raise InputError(
                f"{option}: {file} of the table {table} may be {names}; name the recordings with their folders"
            )
        found[file, table] = numbers[0] if numbers else None
    _check_distinct(found, sources, option)
    return [found[each.file, each.table] for each in annotations]


def _check_distinct(found: dict[tuple[str, str], int | None], sources: Sequence[Source], option: str) -> None:
    """Refuse recordings in different folders that were found as the same source, such as those of two recorders."""
    files: dict[int, dict[tuple[str, ...], str]] = defaultdict(dict)
    for (file, _), number in found.items():
        if number is not None and len(parts := path_parts(file)) > 1:
            files[number].setdefault(parts, file)
    for number, named in files.items():
        longest, *others = sorted(named, key=len, reverse=True)
        for other in others:
            if longest[-len(other) :] != other:
                raise InputError(
                    f"{option}: {named[longest]} and {named[other]} are two recordings, but only "
                    f"{sources[number].name} is among the sources; give both folders as SOURCE, or remove the rows of "
                    "the other"
                )
