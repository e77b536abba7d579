"""Sites of recordings: the place of a recorder, read from the folder or the name of a recording."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from audiosae.corpus.sources import printable
from audiosae.errors import InputError
from audiosae.system.progress import counted
from audiosae.system.text import some_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from audiosae.corpus.sources import Source

FOLDER = "folder"
_GROUP, _JOIN = "site", "-"  # the named group that is the site; between the texts of other named groups
_SHOWN = 6  # sites that a message counts


@dataclass(frozen=True)
class SiteRule:
    """How the site of a recording is read from its name.

    Attributes
    ----------
    text
        The option: ``folder``, or a regular expression.
    pattern
        The regular expression; None for the first folder below a SOURCE.
    """

    text: str
    pattern: re.Pattern[str] | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rule of the option; raise InputError if it is neither ``folder`` nor a regular expression."""
        if text.strip().lower() == FOLDER:
            return cls(FOLDER)
        try:
            return cls(text, re.compile(text))
        except re.error as error:
            raise InputError(
                f"--site {text}: wanted folder, or a regular expression such as '(?P<site>[A-Z]+\\d+)_'; {error}"
            ) from error

    def sites_of(
        self, sources: Sequence[Source], arguments: Sequence[Path], say: Callable[[str], None] = lambda _: None
    ) -> dict[str, str]:
        """Return the site of each source by its name; "" if it has none.

        Parameters
        ----------
        sources
            Recordings of a command.
        arguments
            The files and folders from which they were listed.
        say
            Called with the number of recordings of each site.

        Raises
        ------
        InputError
            No recording has a site.
        """
        folders = [path.absolute() for path in arguments if path.is_dir()]
        sites = {
            source.name: _matched(self.pattern, source.name) if self.pattern else _first_folder(source.path, folders)
            for source in sources
        }
        without = [name for name, site in sites.items() if not site]
        if len(without) == len(sites):
            raise InputError(f"--site {self.text}: {self._why_none(without[0], arguments)}")
        names = sorted({*sites.values()} - {""})
        counts = [f"{name} ({sum(site == name for site in sites.values())})" for name in names[:_SHOWN]]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        say(f"{counted(len(names), 'site')} (recordings): {', '.join(counts)}{more}")
        if without:
            say(f"{counted(len(without), 'recording')} without a site: {some_of(without)}")
        return sites

    def _why_none(self, name: str, arguments: Sequence[Path]) -> str:
        if self.pattern:
            return f"the expression matches no recording; the first is {name}"
        where = ", ".join(printable(argument) for argument in arguments)
        return (
            f"no recording is in a folder below {where}; give the folder that has one folder for each site, or a "
            "regular expression for the names"
        )


def _matched(pattern: re.Pattern[str], name: str) -> str:
    """Return the site in a name: the group "site", else all named groups, else the first group, else the match."""
    match = pattern.search(name)
    if match is None:
        return ""
    named = match.groupdict()
    if named:
        parts = [named[_GROUP]] if named.get(_GROUP) else [text for text in named.values() if text]
        return _clean(_JOIN.join(parts))
    return _clean(match[1] if pattern.groups else match[0])


def _first_folder(path: Path, folders: Sequence[Path]) -> str:
    """Return the first folder below the innermost of some folders that has a file; "" for a file directly in it."""
    inside = [folder for folder in folders if folder in path.absolute().parents]
    if not inside:
        return ""
    below = path.absolute().relative_to(max(inside, key=lambda folder: len(folder.parts))).parts
    return _clean(printable(below[0])) if len(below) > 1 else ""


def _clean(text: str | None) -> str:
    return " ".join((text or "").split())
