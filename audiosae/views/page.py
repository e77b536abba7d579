"""HTML pages, each one self-contained file: a template, the style, a script, and the JSON data of the script."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from audiosae.system.files import MARK, check_replaceable, check_writable, edited, is_marked, signature, signed
from audiosae.system.text import one_line
from audiosae.views.media import gradient_png

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from jinja2 import Environment
    from markupsafe import Markup

PAGES = (".html", ".htm")
_OWN_STYLE = ("survey",)  # pages with a style of their own besides page.css


def check_page(out: Path, inputs: Sequence[Path] = ()) -> None:
    """Check that a page can be written, before any work is done.

    Raises
    ------
    InputError
        Unknown suffix, missing folder, or the page would overwrite an input, a file not written by audiosae, or a page
        that was edited.
    """
    check_writable(out, PAGES)
    check_replaceable(out, inputs, own=not out.exists() or is_marked(out))
    if out.exists() and signature(out) != "whole":
        raise edited(out, "the command that wrote it")


def render_page(view: dict[str, Any]) -> bytes:
    """Return the page of a report or diff.

    Parameters
    ----------
    view
        Variables of the template: texts (title, heading, lead), texts above the units (notes), units (items, sorts,
        groups, columns; see `audiosae.views.units_page`), excerpts of sources (pieces), sections below the units
        (about), and the colour map of the atoms (colours).

    Returns
    -------
    bytes
        HTML in UTF-8. All of `view` is shown as text: Jinja2 escapes it in the markup and in the JSON that the script
        reads, and the page's content security policy forbids requests and other scripts.
    """
    # The tiles are in the markup; the JSON does not repeat them.
    items = [
        item | {"sides": [{key: value for key, value in side.items() if key != "tile"} for side in item["sides"]]}
        for item in view["items"]
    ]
    data = {"items": items, "bins": view["bins"], "labelName": view["label_name"]}
    view = view | {"gradient": gradient_png(view["colours"])}
    return fill("page", view, {"items": data, "pieces": view["pieces"]})


def fill(name: str, view: Mapping[str, Any], blocks: Mapping[str, Any], *, scripts: Sequence[str] = ()) -> bytes:
    """Return the page made from the template and the script called `name`.

    Parameters
    ----------
    name
        Name of the files NAME.html.j2 and NAME.js.
    view
        Variables of the template; at least title, heading, lead and notes.
    blocks
        Data of the script, by the id of the element that contains it as JSON.
    scripts
        Names of further scripts, with functions that the script uses.
    """
    script = "".join(_template(f"{each}.js") for each in ("parts", *scripts, name))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = _template(f"{name}.css") if name in _OWN_STYLE else ""
    own = {"mark": MARK, "style": _template("page.css") + style, "script": script, "script_hash": f"sha256-{digest}"}
    data = {key: as_json(value) for key, value in blocks.items()}
    return signed(_environment().get_template(f"{name}.html.j2").generate(view, blocks=data, **own))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("audiosae.views"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: one_line(value) if type(value) is str else value,  # not Markup: styles and scripts
        trim_blocks=True,
        lstrip_blocks=True,
    )


def as_json(value: object) -> Markup:
    """Return a value as JSON that is safe in a script element, whatever texts it contains."""
    from jinja2.utils import htmlsafe_json_dumps

    return htmlsafe_json_dumps(value, allow_nan=False, separators=(",", ":"))


def _template(name: str) -> str:
    return (files("audiosae.views") / "templates" / name).read_text(encoding="utf-8")


def bars(values: Sequence[float], *, high: float) -> list[dict[str, float]]:
    """Return the bars of a histogram in a box of 100 x 40; heights are square roots, so that low counts are visible."""
    most = max(max(values, default=0), 1) ** 0.5
    width = 100 / max(1, len(values))
    return [
        {
            "x": round(i * width, 2),
            "width": round(0.9 * width, 2),
            "y": round(40 - 40 * value**0.5 / most, 2),
            "height": round(40 * value**0.5 / most, 2),
            "from": high * i / len(values),
            "count": value,
        }
        for i, value in enumerate(values)
    ]
