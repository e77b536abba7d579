"""The cache of decoded fields: a folder for each domain with its options, shared by all runs.

A run locks its folder with a shared lock; pruning needs an exclusive lock, so it removes nothing that a run uses. A
cache with a bound is pruned at the start of every command that reads sources.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import time
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosae.corpus.entries import AGAIN
from audiosae.domain import domain_to_json
from audiosae.errors import InputError
from audiosae.system.files import write_file
from audiosae.system.locks import FolderLock, lock_folder
from audiosae.system.schema import Mismatch, Object, Scalar, Text, Whole, parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from audiosae.domain import Domain

FORMAT = 6
_ABOUT, _BOUND = "domain.json", "bound.json"
_DOMAIN = Object({"name": Text(), "options": Object(rest=Scalar())}, rest=Scalar())
_NAME = re.compile(r"[0-9a-f]{16}")  # of a folder; everything else in the cache belongs to the user
ENTRIES, _TEMPORARY = (".npy", ".safetensors"), (".tmp", AGAIN)
_POLL, _PATIENCE = 0.1, 1.0  # seconds between attempts to lock, and until a wait is reported
_ABANDONED = 3600.0  # seconds after which no process still writes a temporary file
_locks: dict[Path, FolderLock] = {}  # of the folders that this process uses, until it ends


def cache_folder(path: Path | None = None) -> Path:
    """Return the folder of the cache: `path`, or AUDIOSAE_CACHE, or the user's cache folder of the system."""
    import platformdirs

    return path or Path(os.environ.get("AUDIOSAE_CACHE") or platformdirs.user_cache_dir("audiosae"))


@dataclass(frozen=True)
class Folder:
    """Folder with the fields of one domain with one set of options.

    Attributes
    ----------
    about
        Number of the format, and the domain as in a model file.
    files, size
        Number of fields, and bytes of all files.
    used
        Time of the last use, in seconds since 1970.
    """

    path: Path
    about: tuple[int, dict[str, Any]]
    files: int
    size: int
    used: float

    @property
    def outdated(self) -> bool:
        """Whether the fields have another format than `FORMAT`, so that they are not read."""
        return self.about[0] != FORMAT


def open_folder(cache: Path, domain: Domain, say: Callable[[str], None]) -> Path:
    """Return a domain's folder, locked against pruning until this process ends; InputError if it cannot be written."""
    return open_described(cache, domain_to_json(domain), type(domain).__module__, say)


def open_described(cache: Path, description: Mapping[str, Any], module: str, say: Callable[[str], None]) -> Path:
    """Return the folder of what a package derives from sources, as `open_folder` does.

    Parameters
    ----------
    description
        Name, package, version and options, as `domain_to_json` returns them.
    module
        Module whose package determines the content.
    """
    description = dict(description)
    digest = source_digest(str(description.get("package", "")), module)
    if digest:  # a package under development changes without a new version
        description["source"] = digest
    signature = json.dumps([FORMAT, description], sort_keys=True)
    folder = cache / hashlib.blake2b(signature.encode(), digest_size=8).hexdigest()
    try:
        if folder not in _locks:
            _keep_bound(cache, say)
        is_new = not (folder / _ABOUT).exists()
        _lock(folder, say)
        (folder / _ABOUT).write_text(signature + "\n", encoding="utf-8")
    except OSError as error:
        raise unwritable(cache, error) from error
    if is_new:
        _report_other_versions(cache, description, say)
    return folder


@functools.cache
def source_digest(package: str, module: str) -> str:
    """Return a digest of the source files that define a domain; empty unless its package is under development.

    Such a package keeps its version while its code changes, so its files are hashed. This is done once per process,
    because a process does not import later edits either.
    """
    if not package or not _in_development(package):
        return ""
    root, _, rest = module.partition(".")
    built_in = root == __name__.partition(".")[0] and rest  # only its own subpackage of audiosae affects its fields
    spec = util.find_spec(module.rpartition(".")[0] if built_in else root)
    if spec is None:
        return ""
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))] or [Path(spec.origin or "")]
    digest = hashlib.blake2b(digest_size=8)
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _in_development(package: str) -> bool:
    """Return whether a distribution is an editable installation, or has no list of its files (RECORD)."""
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    with contextlib.suppress(ValueError, AttributeError):
        if json.loads(distribution.read_text("direct_url.json") or "{}").get("dir_info", {}).get("editable"):
            return True
    return distribution.read_text("RECORD") is None


def _lock(folder: Path, say: Callable[[str], None]) -> None:
    """Create a folder and lock it until this process ends; wait while another process prunes or removes it."""
    if folder in _locks and _locks[folder].covers(folder):
        return
    began, reported = time.monotonic(), False
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another process removed it
            lock = lock_folder(folder, shared=True)
            if lock is not None and lock.covers(folder):
                _locks[folder] = lock
                return
            if lock is not None:
                lock.close()
        if not reported and time.monotonic() - began > _PATIENCE:
            reported = True
            say(f"waiting: another process is pruning {folder.parent}")
        time.sleep(_POLL)


def release(cache: Path) -> None:
    """Unlock the folders of a cache that this process no longer uses."""
    for folder in [folder for folder in _locks if folder.parent == cache]:
        _locks.pop(folder).close()


def unwritable(cache: Path, error: OSError) -> InputError:
    """Return the error of a cache that cannot be written."""
    return InputError(f"cannot write the cache {cache}: {error.strerror or error}; choose another with --cache DIR")


def make_room(entry: Path) -> None:
    """Remove an empty folder in place of an entry, which cannot be overwritten.

    Raises
    ------
    InputError
        The folder is not empty: its content may be somebody's.
    """
    if entry.is_dir() and not entry.is_symlink():
        try:
            entry.rmdir()
        except OSError as error:
            raise InputError(
                f"{entry} is a folder in place of a file of the cache; remove it, or choose another with --cache DIR"
            ) from error


def list_folders(cache: Path) -> list[Folder]:
    """Return the folders of a cache, the most recently used first."""
    with contextlib.suppress(FileNotFoundError):
        folders = [_folder(path) for path in cache.iterdir() if path.is_dir() and _NAME.fullmatch(path.name)]
        return sorted(folders, key=lambda folder: -folder.used)
    return []


def bound_of(cache: Path) -> int | None:
    """Return the bytes to which a cache is bounded; None if it has no bound, or its file is damaged."""
    with contextlib.suppress(OSError, ValueError):
        content = parse_json((cache / _BOUND).read_bytes())
        Whole().check(content)
        return int(content)
    return None


def set_bound(cache: Path, size: int | None) -> None:
    """Bound a cache to `size` bytes from now on; None for no bound. Raise InputError if it cannot be written."""
    try:
        if size is None:
            (cache / _BOUND).unlink(missing_ok=True)
        else:
            cache.mkdir(parents=True, exist_ok=True)
            write_file(cache / _BOUND, f"{size}\n".encode())
    except OSError as error:
        raise unwritable(cache, error) from error


def _keep_bound(cache: Path, say: Callable[[str], None]) -> None:
    bound = bound_of(cache)
    if bound is not None and sum(folder.size for folder in list_folders(cache)) > bound:
        freed = prune(cache, keep=bound, say=lambda _: None)
        if freed:
            say(
                f"the cache was larger than its bound: {freed / 2**20:.1f} MiB of the least recently used were removed "
                f"(audiosae cache --size changes the bound of {bound / 2**20:.1f} MiB)"
            )


def prune(cache: Path, *, keep: int, say: Callable[[str], None]) -> int:
    """Remove fields until at most `keep` bytes are left: first all of other formats, then the least recently used.

    Folders in use by a run are skipped, with a message.

    Returns
    -------
    int
        The number of bytes freed.
    """
    folders = list_folders(cache)
    size, freed = sum(folder.size for folder in folders), 0
    with contextlib.ExitStack() as locks:
        entries: list[tuple[bool, float, Path, int]] = []
        ours = []
        for folder in folders:
            if (lock := lock_folder(folder.path)) is None:
                say(f"{folder.path} is in use and was not pruned; run the same command again later")
                continue
            locks.enter_context(lock)
            ours.append(folder.path)
            for entry, bytes_, used in _entries(folder.path):
                entries.append((not (folder.outdated or entry.suffix in _TEMPORARY), used, entry, bytes_))
        for is_useful, _, entry, bytes_ in sorted(entries):
            if size - freed > keep or not is_useful:
                entry.unlink(missing_ok=True)
                freed += bytes_
        for path in ours:
            if not any(entry.suffix in ENTRIES for entry in path.iterdir()):
                shutil.rmtree(path, ignore_errors=True)
    return freed


def _entries(folder: Path) -> Iterator[tuple[Path, int, float]]:
    """Yield path, bytes and time of the last use of fields and of abandoned temporary files."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            status = path.stat()
            is_abandoned = path.suffix in _TEMPORARY and time.time() - status.st_mtime > _ABANDONED
            if path.is_file() and (path.suffix in ENTRIES or is_abandoned):
                yield path, status.st_size, status.st_mtime


def _folder(path: Path) -> Folder:
    sizes, used, files = 0, 0.0, 0
    about: tuple[int, dict[str, Any]] = (0, {})
    for entry in os.scandir(path):
        with contextlib.suppress(OSError):
            status = entry.stat()
            sizes, used, files = (
                sizes + status.st_size,
                max(used, status.st_mtime),
                files + entry.name.endswith(ENTRIES),
            )
    with contextlib.suppress(OSError, Mismatch):  # a damaged description: like that of another format
        about = _read_about(path / _ABOUT)
    return Folder(path, about, files, sizes, used)


def described_domain(folder: Path) -> dict[str, Any]:
    """Return the description of the domain of a folder; OSError or ValueError if it is lost or damaged."""
    return _read_about(folder / _ABOUT)[1]


def _read_about(path: Path) -> tuple[int, dict[str, Any]]:
    content = parse_json(path.read_bytes())
    if not isinstance(content, list) or len(content) != 2:  # noqa: PLR2004
        raise Mismatch("", "a format and a domain", "others")
    Whole().check(content[0], "format")
    _DOMAIN.check(content[1], "domain")
    return content[0], content[1]


def _report_other_versions(cache: Path, description: dict[str, Any], say: Callable[[str], None]) -> None:
    for folder in list_folders(cache):
        number, domain = folder.about
        changed = {key for key in {*domain, *description} if domain.get(key) != description.get(key)}
        if folder.files and changed <= {"version", "source"} and (changed or folder.outdated):
            code = ", other code" if "source" in changed else ""
            say(
                f"the cache contains {folder.files} sources decoded by {domain.get('package')} {domain.get('version')} "
                f"(format {number}{code}), which are not used; audiosae cache --prune removes them"
            )
