"""Data of a page, read as its script reads it."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from pathlib import Path

import soundfile
from conftest import missing


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


def serious_faults(tab):
    """Return the serious accessibility faults of a page: rule, impact, and the first elements."""
    axe = os.environ.get("AUDIOSAE_AXE")
    if not axe:
        missing("axe-core (npm install axe-core; AUDIOSAE_AXE names its axe.min.js)")
    tab.evaluate(Path(axe).read_text(encoding="utf-8"))  # the policy of the page forbids script elements
    faults = tab.evaluate("axe.run().then((result) => result.violations)")
    summaries = [(each["id"], each["impact"], [node["html"][:200] for node in each["nodes"][:3]]) for each in faults]
    return [summary for summary in summaries if summary[1] in {"serious", "critical"}]
