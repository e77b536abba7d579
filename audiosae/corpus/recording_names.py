"""Recordings by the names that tables give them, also tables of another computer."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import takewhile
from typing import TYPE_CHECKING

from audiosae.corpus.labels import SourceNames, normalized
from audiosae.corpus.sources import printable
from audiosae.system.text import file_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from audiosae.corpus.sources import Source

_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:")


class RecordingNames:
    """Index of sources by the last part of their path, with and without suffix, and by the name of a table.

    Of the sources with the same file name, those are found whose path agrees with most folders of the name, from the
    end. The folders of a relative name must not contradict those of the source: recorders at several sites write files
    of the same names. Those of an absolute path, which may be of another computer, may. A name without a suffix, which
    is that of a table, may be a source of any suffix, or a name that audiosae gave to a table.

    Parameters
    ----------
    converted
        Whether a name may also be a source with another suffix or without one: recordings that were converted since.
    """

    def __init__(self, sources: Sequence[Source], *, converted: bool = False) -> None:
        self._converted = converted
        self._names = SourceNames(sources)
        self._parts = [path_parts(source.name) for source in sources]
        self._by_name, self._by_stem = defaultdict(list), defaultdict(list)
        self._by_table: dict[str, list[int]] = defaultdict(list)
        for number, parts in enumerate(self._parts):
            self._by_name[parts[-1]].append(number)
            self._by_stem[_stem(parts[-1])].append(number)
        names = file_names((source.name for source in sources), _stem)
        for number, source in enumerate(sources):
            self._by_table[names[source.name]].append(number)
        self._found: dict[tuple[str, str], list[int]] = {}

    def find(self, file: str, table: str = "") -> list[int]:
        """Return the numbers of the sources that a table may mean.

        Parameters
        ----------
        file
            Name of the recording in the table, or what `table` says of it.
        table
            Name of the table without its suffix: it may tell which of several recordings is meant.
        """
        key = (file, table)
        if key not in self._found:
            self._found[key] = self._find(file, table)
        return self._found[key]

    def _find(self, file: str, table: str) -> list[int]:
        exact = self._names.numbers(file)
        if len(exact) == 1:
            return exact
        parts = path_parts(file if exact else printable(file))
        candidates = self._by_name.get(parts[-1], [])
        if not candidates and self._converted:
            candidates = self._by_stem.get(parts[-1]) or self._by_stem.get(_stem(parts[-1]), [])
        if not candidates and table.startswith(file):
            found = (self._by_stem.get(name) or self._by_table.get(name) for name in _prefixes(parts[-1]))
            candidates = next(filter(None, found), [])
        if not _ABSOLUTE.match(file):
            candidates = [number for number in candidates if _agree(self._parts[number][:-1], parts[:-1])]
        best = self._best(candidates, parts)
        if len(best) > 1:  # the name of the table may tell which
            own = {number for part in _prefixes(path_parts(table)[-1]) for number in self._by_table.get(part, [])}
            best = [number for number in best if number in own] if len(own & set(best)) == 1 else best
        return best

    def _best(self, candidates: Sequence[int], parts: Sequence[str]) -> list[int]:
        """Return the candidates whose folders agree best with those of a name, from the end."""
        agreements = {number: common_end(self._parts[number][:-1], parts[:-1]) for number in candidates}
        return [number for number, count in agreements.items() if count == max(agreements.values())]


def path_parts(name: str) -> tuple[str, ...]:
    """Return the folders and the name of a file in their normal form."""
    return (*normalized(name).split("/"),)


def _agree(folders: Sequence[str], others: Sequence[str]) -> bool:
    """Return whether one of two paths may be the end of the other."""
    return common_end(folders, others) == min(len(folders), len(others))


def common_end(folders: Sequence[str], others: Sequence[str]) -> int:
    """Return how many parts two paths have in common, from the end."""
    pairs = zip(reversed(folders), reversed(others), strict=False)
    return len([*takewhile(lambda pair: pair[0] == pair[1], pairs)])


def _stem(name: str) -> str:
    return re.sub(r"(?<=.)\.[^.]*$", "", name)


def _prefixes(name: str) -> Iterable[str]:
    """Yield a name, and what is left of it when parts after dots are removed from its end."""
    while name:
        yield name
        name = name.rpartition(".")[0]
