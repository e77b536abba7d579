"""``audiosae cache``: size of the cache of decoded fields, and pruning."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from audiosae.commands.answer import Answer
from audiosae.commands.reading import as_path
from audiosae.commands.shared_options import AnyPath, ShowProgress
from audiosae.corpus import cache as fields
from audiosae.errors import InputError
from audiosae.system.frames import text_table
from audiosae.system.parameters import Option, byte_count, command
from audiosae.system.progress import Notes

UNLIMITED = 2**60


@command(example="audiosae cache --prune --size 20G")
def cache(
    *,
    cache: Annotated[
        AnyPath | None, Option("Folder for decoded fields.", "Machine", typed=Path, default="the user's cache folder")
    ] = None,
    prune: Annotated[bool, Option("Remove fields of other versions, and the oldest ones beyond --size.")] = False,
    size: Annotated[
        int | None, Option("Keep at most this much; 0 empties the cache.", metavar="20G", typed=str, parse=byte_count)
    ] = None,
    progress: ShowProgress = False,
) -> Answer:
    """Show or prune the cache of decoded recordings.

    Removed entries are decoded again on demand.

    Returns
    -------
    Answer
    """
    if size is not None and not prune:
        raise InputError("--size: wanted together with --prune")
    location = fields.cache_folder(as_path(cache))
    with Notes(progress) as notes:
        freed = fields.prune(location, keep=UNLIMITED if size is None else size, say=notes.say) if prune else 0
    folders = fields.list_folders(location)
    rows = [("folder", "files", "MiB", "last used", "what")]
    for each in folders:
        domain = each.about[1]
        what = f"{domain.get('name', '?')} of {domain.get('package', '?')} {domain.get('version', '?')}"
        options = " ".join(f"{key}={value}" for key, value in domain.get("options", {}).items())
        when = time.strftime("%Y-%m-%d", time.localtime(each.used))
        old = " (another version's)" if each.outdated else ""
        rows.append((each.path.name, str(each.files), f"{each.size / 2**20:.1f}", when, f"{what}{old}: {options}"))
    total = sum(each.size for each in folders)
    total_text = f"{location}: {total / 2**20:.1f} MiB in {len(folders)} folders" + (
        f", {freed / 2**20:.1f} MiB removed" if prune else ""
    )
    facts = {
        "cache": str(location),
        "bytes": total,
        "freed": freed,
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
    return Answer("\n".join([text_table(rows), total_text] if folders else [total_text]), facts)
