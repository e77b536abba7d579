"""What a page of report or diff holds, read as its own script reads it."""

from __future__ import annotations

import base64
import io
import json
import re

import soundfile


def block(page, name):
    """The JSON that the page's script reads."""
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.DOTALL)[1])


def items(page):
    return block(page, "items")["items"]


def pieces(page):
    return block(page, "pieces")


def decoded(url):
    """Samples and rate of a sound in a data URL."""
    return soundfile.read(io.BytesIO(base64.b64decode(url.split(",", 1)[1])), dtype="float32")
