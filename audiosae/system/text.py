"""Text from files on its way out: one function each for terminal, HTML, Markdown and names of files.

The function for CSV cells is `audiosae.system.files.cell`. Names of files, labels, types, columns and options may
contain anything: control codes, tags, formulas and links must not take effect where they are shown.
"""

from __future__ import annotations

import html as _html
import re
from itertools import chain, count
from typing import TYPE_CHECKING
from unicodedata import category

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

# control characters, surrogates, and characters that begin a new line or paragraph
_UNSAFE = {"Cc", "Cs", "Zl", "Zp"}
_REORDERING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # of the text that follows them
_MARKDOWN = re.compile(
    r"[\\`*\[\]<>&|~$^@]"  # code, emphasis, links, tags, table cells, formulas, mentions
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis; not an underscore within a word
    r"|:(?=//|[\w+-]+:)|(?<=www)\."  # addresses, which become links, and emoji
)

_LONGEST = 120  # bytes of a file name: leaves room for folders, suffixes and the limits of old file systems
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # on Windows


def one_line(text: str) -> str:
    r"""Return a text as one line of visible characters: a line break becomes ``\n``, an escape character ``\x1b``.

    All other characters are unchanged. Characters beyond ASCII are written as ``\u2028``.
    """
    return "".join(map(_visible, text)) if not text.isascii() or not text.isprintable() else text


def _visible(character: str) -> str:
    if category(character) not in _UNSAFE and character not in _REORDERING:
        return character
    return character.encode("unicode_escape").decode() if character.isascii() else f"\\u{ord(character):04x}"


def some_of(names: Sequence[str], limit: int = 3) -> str:
    """Return the first names of a list, each as one line, and the number of the others."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(one_line, names[:limit])) + more


def terminal(text: str) -> str:
    """Return a text of one or several lines without control codes, for a terminal."""
    return "\n".join(map(one_line, text.split("\n")))


def html(text: object) -> str:
    """Return a text for HTML, in an element or in a quoted attribute."""
    return _html.escape(one_line(str(text)))


def markdown(text: object) -> str:
    """Return a text for one line or one table cell of Markdown."""
    return _MARKDOWN.sub(r"\\\g<0>", one_line(str(text)))


def file_name(text: str) -> str:
    """Return a text as a name of a file or folder, without suffix, that is valid on all systems."""
    short = re.sub(r'[\x00-\x1f<>:"|?*\\/]+', "_", text).strip(" .").encode()[:_LONGEST]
    plain = short.decode(errors="ignore").lstrip("-").rstrip(" .") or "_"
    return f"_{plain}" if _RESERVED.match(plain) else plain


def file_names(texts: Iterable[str], stem: Callable[[str], str] = lambda text: text) -> dict[str, str]:
    """Return a distinct name for each text, as `file_name` of its stem; a difference in case is not enough.

    Parameters
    ----------
    texts
        Distinct texts. Their order does not change the result.
    stem
        Function that returns the part of a text that becomes the name.
    """
    taken: set[str] = set()
    numbers: dict[str, Iterator[int]] = {}  # the numbers that were not tried yet: 10,000 names may begin alike
    names: dict[str, str] = {}
    for text in sorted(texts):
        plain = file_name(stem(text))
        further = numbers.setdefault(plain.casefold(), count(2))
        candidates = chain([plain], (f"{plain}-{number}" for number in further))
        names[text] = next(name for name in candidates if name.casefold() not in taken)
        taken.add(names[text].casefold())
    return names
