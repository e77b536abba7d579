"""The page of a survey as a server sends it: it may ask the server, and has what the server knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audiosae.errors import InputError
from audiosae.system.files import signature
from audiosae.views.page import as_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_OFFLINE = "default-src 'none'; img-src data:; media-src data:;"  # as in base.html.j2
_SERVED = "default-src 'none'; connect-src 'self'; img-src 'self' data:; media-src 'self' data:;"
_SCRIPT = "<script>"  # the first is that of the page: data have no <
_USES_SERVER = "function servedSource("


def read_page(path: Path) -> str:
    """Return the page of a survey as text.

    Raises
    ------
    InputError
        There is no page, it was changed, or an earlier version wrote it.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; wanted the folder that audiosae survey wrote")
    if signature(path) != "whole":
        raise InputError(f"{path} was changed after the survey that wrote it; run audiosae survey again")
    text = path.read_text(encoding="utf-8")
    if text.count(_OFFLINE) != 1 or _USES_SERVER not in text:
        raise InputError(f"{path} was written by another version of audiosae; run audiosae survey again")
    return text


def served_page(text: str, facts: Mapping[str, Any]) -> bytes:
    """Return the page with the element `server`, which has `facts` as JSON, and a policy that permits requests."""
    at = text.index(_SCRIPT)
    block = f'<script type="application/json" id="server">{as_json(facts)}</script>\n'
    return (text[:at].replace(_OFFLINE, _SERVED) + block + text[at:]).encode()
