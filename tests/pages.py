"""Data of a page, read as its script reads it."""

from __future__ import annotations

import base64
import io
import json
import re

import soundfile


def block(page, name):
    """Return the JSON data with the given element id."""
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.DOTALL)[1])


def items(page):
    return block(page, "items")["items"]


def pieces(page):
    return block(page, "pieces")


def decoded(url):
    """Return samples and rate of the sound in a data URL."""
    return soundfile.read(io.BytesIO(base64.b64decode(url.split(",", 1)[1])), dtype="float32")
