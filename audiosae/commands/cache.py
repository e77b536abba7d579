"""``audiosae cache``: size of the cache of decoded fields, and pruning."""

from __future__ import annotations

import os
import time
from typing import Annotated

from audiosae.commands.answer import Answer
from audiosae.commands.shared_options import NO_CACHE, CacheFolder, ShowProgress, as_path
from audiosae.corpus import cache as fields
from audiosae.errors import InputError
from audiosae.system.frames import text_table
from audiosae.system.parameters import Option, byte_count, command
from audiosae.system.progress import Notes, counted

_UNLIMITED = 2**60
_MIB = 2**20


@command(example="audiosae cache --size 20G")
def cache(
    *,
    cache: CacheFolder = None,
    prune: Annotated[
        bool,
        Option(
            "Remove entries of other versions of audiosae; with --size, also the least recently used ones until the "
            "cache has that size, once."
        ),
    ] = False,
    size: Annotated[
        int | None,
        Option(
            "Bound of the cache, now and at the start of every later command; 0 for none. With --prune only this time.",
            metavar="20G",
            typed=str,
            parse=byte_count,
        ),
    ] = None,
    progress: ShowProgress = False,
) -> Answer:
    """Show, bound or prune the cache of decoded recordings.

    Removed entries are decoded again on demand. The least recently used are removed first.

    Returns
    -------
    Answer

    Raises
    ------
    InputError
        The cache is not a folder.
    """
    if cache is not None and os.fspath(cache) == NO_CACHE:
        raise InputError(f"--cache {NO_CACHE}: wanted a folder; nothing was kept that could be shown or pruned")
    location = fields.cache_folder(as_path(cache))
    if size is not None and not prune:
        fields.set_bound(location, size or None)
    keep = _UNLIMITED if size is None or not (size or prune) else size
    with Notes(progress) as notes:
        freed = fields.prune(location, keep=keep, say=notes.say) if prune or size is not None else 0
    folders = fields.list_folders(location)
    rows = [("folder", "files", "MiB", "last used", "contents")]
    for each in folders:
        domain = each.about[1]
        version = f"{domain.get('package', '?')} {domain.get('version', '?')}"
        contents = f"{domain.get('name', '?')} of {version}{' (another version)' if each.outdated else ''}"
        options = " ".join(f"{key}={value}" for key, value in domain.get("options", {}).items())
        used = time.strftime("%Y-%m-%d", time.localtime(each.used))
        rows.append((each.path.name, str(each.files), f"{each.size / _MIB:.1f}", used, f"{contents}: {options}"))
    total = sum(each.size for each in folders)
    removed = f", {freed / _MIB:.1f} MiB removed" if prune or size is not None else ""
    bound = fields.bound_of(location)
    removed += "" if bound is None else f"; bounded to {bound / _MIB:.1f} MiB"
    summary = f"{location}: {total / _MIB:.1f} MiB in {counted(len(folders), 'folder')}{removed}"
    facts = {
        "cache": str(location),
        "bytes": total,
        "freed": freed,
        "bound": bound,
        "folders": [
            {
                "name": f.path.name,
                "files": f.files,
                "bytes": f.size,
                "used": f.used,
                "outdated": f.outdated,
                "domain": f.about[1],
            }
            for f in folders
        ],
    }
    return Answer("\n".join([text_table(rows), summary] if folders else [summary]), facts)
