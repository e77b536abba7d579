"""audiosae cache: what decoded fields take, and making room."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from audiosae.cli.console import Console, table
from audiosae.cli.parameters import Cache, byte_count

Prune = Annotated[bool, typer.Option("--prune", help="Remove fields of other versions, and down to --size.")]


def stored(
    console: Console,
    cache: Cache = None,
    prune: Prune = False,  # noqa: FBT002
    size: Annotated[
        str | None, typer.Option(metavar="20G", help="Keep at most this much; 0 empties the cache.")
    ] = None,
) -> None:
    """List the folders of decoded fields, or make room; what is removed is read again when it is needed."""
    from audiosae.corpus import cache as fields
    from audiosae.errors import InputError

    if size is not None and not prune:
        raise InputError(f"--size {size}: wanted together with --prune")
    where = fields.cache_folder(cache)
    freed = fields.prune(where, keep=byte_count("--size", size or "1000T"), say=console.say) if prune else 0
    found = fields.list_folders(where)
    rows = [("folder", "files", "MiB", "last used", "what")]
    for each in found:
        domain = each.about[1]
        what = f"{domain.get('name', '?')} of {domain.get('package', '?')} {domain.get('version', '?')}"
        options = " ".join(f"{key}={value}" for key, value in domain.get("options", {}).items())
        when = time.strftime("%Y-%m-%d", time.localtime(each.used))
        old = " (another version's)" if each.outdated else ""
        rows.append((each.path.name, str(each.files), f"{each.size / 2**20:.1f}", when, f"{what}{old}: {options}"))
    total = sum(each.size for each in found)
    told = f"{where}: {total / 2**20:.1f} MiB in {len(found)} folders" + (
        f", {freed / 2**20:.1f} MiB removed" if prune else ""
    )
    facts = {
        "cache": str(where), "bytes": total, "freed": freed,
        "folders": [{"name": f.path.name, "files": f.files, "bytes": f.size, "used": f.used, "outdated": f.outdated,
                     "domain": f.about[1]} for f in found],
    }  # fmt: skip
    console.result("\n".join([table(rows), told] if found else [told]), facts)
