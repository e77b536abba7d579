"""Search for source files: the SOURCE arguments of a command, and the files in the given folders."""

from __future__ import annotations

import os
import stat
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from audiosae.errors import InputError
from audiosae.system.files import check_regular
from audiosae.system.progress import counted
from audiosae.system.text import one_line, some_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Named = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]  # files and folders as a caller gives them

_SUFFIXES_SHOWN = 4
_APPLE_DOUBLE = "._"  # prefix of the files in which macOS stores metadata on foreign disks
_SYSTEM = {"$recycle.bin", "system volume information", "lost+found", "@eadir", "#recycle", "@recycle", "__macosx"}
_HEAD = 64  # bytes
_STAND_INS = {
    b"version https://git-lfs": "a pointer of Git LFS, not the file: `git lfs pull` fetches it",
    b"/annex/objects/": "a pointer of git-annex, not the file: `git annex get` fetches it",
}


@dataclass(frozen=True, slots=True, init=False)
class Source:
    """A file to read.

    Attributes
    ----------
    name
        Printable path, separated by "/"; relative to the given folder, or as given if there are several arguments.
    folder, end
        The path as text is both together; `end` is the name where that is its end, so that the text is stored once.
    fault
        Why the file cannot be used, if that is known before it is opened; else "".
    stretches
        Rows of its field to read, as ascending (start, stop); all if empty.
    """

    name: str
    folder: str
    end: str
    fault: str
    stretches: tuple[tuple[int, int], ...]

    def __init__(
        self,
        name: str,
        path: str | os.PathLike[str],
        fault: str = "",
        stretches: tuple[tuple[int, int], ...] = (),
    ) -> None:
        location = os.fspath(path)
        end = name if location.endswith(name) else location
        folder = sys.intern(location[: len(location) - len(end)])
        values = {"name": name, "folder": folder, "end": end, "fault": fault, "stretches": stretches}
        for field_name, value in values.items():
            object.__setattr__(self, field_name, value)

    @property
    def location(self) -> str:
        """The path as text."""
        return self.folder + self.end

    @property
    def path(self) -> Path:
        """Its path."""
        return Path(self.location)


@dataclass(frozen=True)
class _Skipped:
    """Files that are not sources: counts of hidden names and of suffixes, and the names without a suffix.

    Suffixes in `missing` need a package that is not installed; its values are the commands that install it.
    """

    missing: Mapping[str, str] = field(default_factory=dict)
    hidden: Counter[str] = field(default_factory=Counter)
    suffixes: Counter[str] = field(default_factory=Counter)
    unnamed: list[str] = field(default_factory=list)
    readable: Counter[str] = field(default_factory=Counter)

    def add(self, path: Path, name: str) -> None:
        """Count a file, unless its name begins with a dot, or it has neither suffix nor content."""
        if path.name.startswith("."):
            return
        if (suffix := path.suffix.lower()) in self.missing:
            self.readable[suffix] += 1
        elif suffix:
            self.suffixes[printable(suffix)] += 1
        elif _has_content(path):
            self.unnamed.append(name)

    def without_suffix(self) -> str:
        """Return a phrase on the files without a suffix."""
        return f"skipped {counted(len(self.unnamed), 'file')} without a suffix: {some_of(sorted(self.unnamed))}"

    def missing_packages(self) -> str:
        """Return a phrase on the files that could be read after an installation, or ""."""
        if not self.readable:
            return ""
        commands = dict.fromkeys(self.missing[suffix] for suffix in self.readable)
        more = f"{counted(self.readable.total(), 'more file')} ({_counts(self.readable)})"
        return f"{more} can be read after {' and '.join(commands)}"

    def report(self, say: Callable[[str], None]) -> None:
        """Report each kind in one line."""
        if self.hidden:
            say(f"skipped hidden, trash and AppleDouble files: {_counts(self.hidden)}; name one as a SOURCE to use it")
        if missing := self.missing_packages():
            say(missing)
        if self.suffixes:
            say(f"skipped by suffix: {_counts(self.suffixes)}; name a file as a SOURCE to use it")
        if self.unnamed:
            say(f"{self.without_suffix()}; name a file as a SOURCE to use it")


def named_paths(sources: Named) -> list[Path]:
    """Return one or several files or folders as paths; raise InputError if there is none."""
    try:
        paths = [Path(sources)] if isinstance(sources, str | os.PathLike) else [Path(source) for source in sources]
    except TypeError:
        paths = []
    if not paths:
        raise InputError(f"sources {sources!r}: wanted a file or folder, or a list of them")
    return paths


def scan(
    arguments: Sequence[Path],
    suffixes: Sequence[str],
    *,
    domain: str = "spectrogram",
    say: Callable[[str], None] = lambda _: None,
    model: bool = False,
    missing: Mapping[str, str] | None = None,
) -> list[Source]:
    """Return the given files and the files in the given folders, sorted by name.

    Hidden folders, trash and AppleDouble files (``._x``) in a folder are skipped.

    Parameters
    ----------
    arguments
        Files of any suffix, and folders, which are searched recursively for `suffixes`.
    suffixes
        Lower case, with the dot.
    model
        Whether the files are for an existing model, so that no other domain can be chosen.
    missing
        Suffixes of files that could be read after an installation, each with the command for it.

    Raises
    ------
    InputError
        A path does not exist, or there are no files.
    """
    sources: list[Source] = []
    seen: set[str] = set()  # of several arguments, which may have files in common
    skipped = _Skipped(missing or {})
    folders = 0
    for argument in arguments:
        if not os.path.lexists(argument):
            raise InputError(f"no such file or folder: {printable(argument)}")
        if not argument.is_dir():
            name = printable(argument.name if len(arguments) == 1 else argument)
            if _is_new(argument, arguments, seen):
                sources.append(Source(name, argument, _fault(argument)))
            continue
        for path, fault in _walk(argument, skipped.hidden):
            folders += path is None
            if path is None or not _is_new(path, arguments, seen):
                continue
            name = printable(path.relative_to(argument) if len(arguments) == 1 else path)
            if fault or path.suffix.lower() in suffixes:
                sources.append(Source(name, path, fault or _fault(path)))
            else:
                skipped.add(path, name)
    if not sources:
        other = f"; {skipped.without_suffix()}" if skipped.unnamed else ""
        other += f"; {more}" if (more := skipped.missing_packages()) else ""
        raise InputError(_no_sources(arguments, suffixes, folders, domain, model=model) + other)
    skipped.report(say)
    return sorted(sources, key=attrgetter("name"))  # different paths have different names


def _is_new(path: Path, arguments: Sequence[Path], seen: set[str]) -> bool:
    """Return whether a path was not found before, and remember it; a single argument has every path once."""
    if len(arguments) == 1 or (key := os.fspath(path.absolute())) in seen:
        return len(arguments) == 1
    seen.add(key)
    return True


def _fault(path: Path) -> str:
    """Return why a path cannot be used: pipes and devices may never end; other faults have their own messages."""
    with suppress(OSError):
        mode = path.stat().st_mode
        return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "not a regular file"
    return ""


def _has_content(path: Path) -> bool:
    with suppress(OSError):
        status = path.stat()
        return stat.S_ISREG(status.st_mode) and status.st_size > 0
    return False


def stand_in(path: Path) -> str:
    """Return what a small text file stands for, if a version control system keeps the content elsewhere; else ""."""
    with suppress(OSError), check_regular(path).open("rb") as file:
        head = file.read(_HEAD)
        return next((reason for start, reason in _STAND_INS.items() if head.startswith(start)), "")
    return ""


def _counts(names: Counter[str]) -> str:
    return some_of([f"{name} ({count})" for name, count in names.most_common()], _SUFFIXES_SHOWN)


def printable(path: Path | str) -> str:
    r"""Return a path as one line of valid text; different paths have different texts.

    Bytes that are not UTF-8 become ``\xff``, line breaks ``\n``, other control characters likewise, and a backslash
    is doubled. All other characters are unchanged.
    """
    name = os.fsencode(path).replace(os.fsencode(os.sep), b"/").replace(b"\\", b"\\\\")
    return one_line(name.decode("utf-8", "backslashreplace"))


def folder_name(path: Path) -> str:
    """Return the name of the folder of a file, also if it was given as ``..`` or ``.``."""
    parent = path.parent
    return printable(parent.name if parent.name not in ("", "..") else parent.resolve().name or parent.resolve())


def _walk(folder: Path, hidden: Counter[str]) -> Iterator[tuple[Path | None, str]]:
    """Yield (file, fault) for files, (None, "") for folders; follow links, but visit each folder once."""
    visited: set[tuple[int, int]] = set()
    errors: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=errors.append, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        skipped = {name for name in folders if name.startswith(".") or name.lower() in _SYSTEM}
        hidden.update(printable(name) for name in skipped)
        folders[:] = sorted(set(folders) - skipped)
        yield None, ""
        for name in files:
            if name.startswith(_APPLE_DOUBLE):
                hidden[f"{_APPLE_DOUBLE}*"] += 1
            else:
                yield Path(parent) / name, ""
    yield from ((Path(error.filename), f"unreadable folder: {error.strerror}") for error in errors)


def _no_sources(arguments: Sequence[Path], suffixes: Sequence[str], folders: int, domain: str, *, model: bool) -> str:
    shown = [*suffixes[:_SUFFIXES_SHOWN], *(["..."] if len(suffixes) > _SUFFIXES_SHOWN else [])]
    wanted = ", ".join(shown[:-1]) + " or " + shown[-1] if len(shown) > 1 else shown[0]
    where = ", ".join(printable(argument) + "/" for argument in arguments)
    searched = f"looked in {counted(folders, 'folder')}"
    if model:
        return f"no {wanted} under {where} ({searched}); the model has the domain {domain}"
    other = "for pictures add --domain images" if domain == "spectrogram" else "for recordings omit --domain"
    return f"no {wanted} under {where} ({searched}); {other}"
