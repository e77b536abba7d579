"""The recordings that tables of annotations name, among the sources of a command."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from audiosae.corpus.labels import SourceNames, normalized
from audiosae.corpus.sources import printable
from audiosae.errors import InputError
from audiosae.system.text import file_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from audiosae.corpus.annotation_tables import Annotation
    from audiosae.corpus.sources import Source

_SHOWN = 3  # sources in a message


def annotated_sources(
    annotations: Sequence[Annotation], sources: Sequence[Source], *, option: str = "--annotations"
) -> list[int | None]:
    """Return the number of the source of each annotation, None if its recording is not among the sources.

    A table may have been written on another computer: of the sources with the same file name, the one is taken whose
    path agrees with most folders from the end. A name without a suffix, which is that of a table, may be a source of
    any suffix, or a name that audiosae gave to a table.

    Raises
    ------
    InputError
        Several sources agree equally well, or two recordings of the tables are the same source.
    """
    finder = _Finder(sources, option)
    found = {key: finder.find(*key) for key in dict.fromkeys((a.file, a.table) for a in annotations)}
    _check_distinct(found, sources, option)
    return [found[a.file, a.table] for a in annotations]


class _Finder:
    """Index of the sources by the last part of their path, with and without suffix, and by the name of a table."""

    def __init__(self, sources: Sequence[Source], option: str) -> None:
        self._sources, self._option = sources, option
        self._names = SourceNames(sources)
        self._parts = [_parts(source.name) for source in sources]
        self._by_name, self._by_stem = defaultdict(list), defaultdict(list)
        self._by_table: dict[str, list[int]] = defaultdict(list)
        for number, parts in enumerate(self._parts):
            self._by_name[parts[-1]].append(number)
            self._by_stem[_stem(parts[-1])].append(number)
        names = file_names((source.name for source in sources), _stem)
        for number, source in enumerate(sources):
            self._by_table[names[source.name]].append(number)

    def find(self, file: str, table: str) -> int | None:
        """Return the number of the source of a recording that a table names, or whose name the table has."""
        exact = self._names.numbers(file)
        if len(exact) == 1:
            return exact[0]
        parts = _parts(file if exact else printable(file))
        candidates = self._by_name.get(parts[-1], [])
        if not candidates and table.startswith(file):
            found = (self._by_stem.get(name) or self._by_table.get(name) for name in _prefixes(parts[-1]))
            candidates = next(filter(None, found), [])
        best = self._best(candidates, parts)
        if len(best) > 1:  # the name of the table may tell which
            own = {number for part in _prefixes(_parts(table)[-1]) for number in self._by_table.get(part, [])}
            best = [number for number in best if number in own] if len(own & set(best)) == 1 else best
        if len(best) > 1:
            names = " or ".join(self._sources[number].name for number in best[:_SHOWN])
            raise InputError(
                f"{self._option}: {file} of the table {table} may be {names}; name the recordings with their folders"
            )
        return best[0] if best else None

    def _best(self, candidates: Sequence[int], parts: Sequence[str]) -> list[int]:
        """Return the candidates whose folders agree best with those of a name, from the end."""
        agreements = {number: _agreement(self._parts[number][:-1], parts[:-1]) for number in candidates}
        return [number for number, count in agreements.items() if count == max(agreements.values())]


def _check_distinct(found: dict[tuple[str, str], int | None], sources: Sequence[Source], option: str) -> None:
    """Refuse recordings in different folders that were found as the same source, such as those of two recorders."""
    files: dict[int, dict[tuple[str, ...], str]] = defaultdict(dict)
    for (file, _), number in found.items():
        if number is not None and len(parts := _parts(file)) > 1:
            files[number].setdefault(tuple(parts), file)
    for number, named in files.items():
        longest, *others = sorted(named, key=len, reverse=True)
        for other in others:
            if longest[-len(other) :] != other:
                raise InputError(
                    f"{option}: {named[longest]} and {named[other]} are two recordings, but only "
                    f"{sources[number].name} is among the sources; give both folders as SOURCE, or remove the rows of "
                    "the other"
                )


def _agreement(folders: Sequence[str], others: Sequence[str]) -> int:
    pairs = zip(reversed(folders), reversed(others), strict=False)
    return next((count for count, (one, other) in enumerate(pairs) if one != other), min(len(folders), len(others)))


def _parts(name: str) -> list[str]:
    return normalized(name).split("/")


def _stem(name: str) -> str:
    return re.sub(r"(?<=.)\.[^.]*$", "", name)


def _prefixes(name: str) -> Iterable[str]:
    """Yield a name, and what is left of it when parts after dots are removed from its end."""
    while name:
        yield name
        name = name.rpartition(".")[0]
