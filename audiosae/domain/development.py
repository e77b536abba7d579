"""Packages under development: their version says nothing of their code, so a digest of the source files does."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib import metadata, util
from pathlib import Path


@cache
def source_digest(package: str, module: str) -> str:
    """Return a digest of the source files that a domain comes from; empty for a package installed as usual.

    Computed once per process: what is edited later is not imported either.
    """
    if not package or not _in_development(package):
        return ""
    root, _, rest = module.partition(".")
    own = root == __name__.partition(".")[0] and rest  # of audiosae itself only the domain's own room makes fields
    spec = util.find_spec(module.rpartition(".")[0] if own else root)
    if spec is None:
        return ""
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))] or [Path(spec.origin or "")]
    digest = hashlib.blake2b(digest_size=8)
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _in_development(package: str) -> bool:
    """Return whether a distribution is an editable installation, or one that pip has no record of."""
    try:
        found = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    try:
        editable = json.loads(found.read_text("direct_url.json") or "{}").get("dir_info", {}).get("editable", False)
    except (ValueError, AttributeError):
        editable = False
    return bool(editable) or found.read_text("RECORD") is None
