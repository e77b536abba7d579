"""The page of a survey with what was saved since: as a server sends it, and as a file that opens without one."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from audiosae.errors import InputError
from audiosae.system.files import signature, signed, unsigned, write_file
from audiosae.views.page import as_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from audiosae.sounds.answers import Answer

_OFFLINE = "default-src 'none'; img-src data:; media-src data:;"  # as in base.html.j2
_SERVED = "default-src 'none'; connect-src 'self'; img-src 'self' data:; media-src 'self' data:;"
_SCRIPT = "<script>"  # the first is that of the page: data have no <
_USES_SERVER = "function withSaved("  # of survey_source.js
_BLOCK = '<script type="application/json" id="{}">{}</script>\n'
_SAVED = re.compile(_BLOCK.format("since", "[^<]*"))
_ITEMS = re.compile(_BLOCK.format("items", "([^<]*)").rstrip())


class PageSound(NamedTuple):
    """A sound of a page: its recording, times in seconds, and type, label and answer as the survey has them."""

    file: str
    start: float
    end: float
    type: int
    label: str
    answer: str


@dataclass(frozen=True)
class SurveyPage:
    """The page of a survey, without what was saved since.

    Attributes
    ----------
    path
        Its file.
    text
        Its content.
    """

    path: Path
    text: str

    def served(self, facts: Mapping[str, Any]) -> bytes:
        """Return the page with the element `server`, which has `facts` as JSON, and a policy that permits requests."""
        return self._with("server", facts, policy=_SERVED).encode()

    def write_saved(self, facts: Mapping[str, Any]) -> None:
        """Write the file with the element `since`, which has `facts` as JSON.

        Raises
        ------
        InputError
            The file is not the page that was read, or cannot be written.
        """
        if signature(self.path) != "whole":
            raise InputError(f"{self.path.name} was changed or removed, so it does not have these labels")
        write_file(self.path, signed([self._with("since", facts).rstrip()]))

    def changed(self, answers: Iterable[Answer]) -> list[tuple[int, int | None, str, str]]:
        """Return event, type, label and answer of the sounds on this page that are not as the survey has them."""
        pairs = ((each, self.sounds[each.event]) for each in answers if each.event in self.sounds)
        return [
            (each.event, each.type, each.label, each.answer)
            for each, own in pairs
            if (each.label, each.answer) != (own.label, own.answer) or each.type not in {None, own.type}
        ]

    @cached_property
    def sounds(self) -> dict[int, PageSound]:
        """The sounds on the page by their numbers."""
        events = self._events
        kinds = {"event": "<u4", "record": "<u4", "start": "<f8", "end": "<f8", "type": "<i2"}
        columns = (np.frombuffer(base64.b64decode(events[name]), kind).tolist() for name, kind in kinds.items())
        given, files = events["given"], events["files"]
        return {
            event: PageSound(files[record], start, end, kind, *given.get(str(n), ("", "")))
            for n, (event, record, start, end, kind) in enumerate(zip(*columns, strict=True))
        }

    @property
    def types(self) -> str:
        """Digest of the types of the survey."""
        return str(self._events["types"])

    @cached_property
    def _events(self) -> dict[str, Any]:
        found = _ITEMS.search(self.text)
        events: dict[str, Any] = json.loads(found[1])["events"] if found else {}
        return events

    def _with(self, name: str, facts: Mapping[str, Any], *, policy: str = _OFFLINE) -> str:
        at = self.text.index(_SCRIPT)
        return self.text[:at].replace(_OFFLINE, policy) + _BLOCK.format(name, as_json(facts)) + self.text[at:]


def read_page(path: Path) -> SurveyPage:
    """Return the page of a survey.

    Raises
    ------
    InputError
        There is no page, it was changed, or an earlier version wrote it.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; wanted the folder that audiosae survey wrote")
    if signature(path) != "whole":
        raise InputError(f"{path} was changed after the survey that wrote it; run audiosae survey again")
    text = unsigned(path.read_text(encoding="utf-8"))
    if text.count(_OFFLINE) != 1 or _USES_SERVER not in text:
        raise InputError(f"{path} was written by another version of audiosae; run audiosae survey again")
    at = text.index(_SCRIPT)
    return SurveyPage(path, _SAVED.sub("", text[:at]) + text[at:])
