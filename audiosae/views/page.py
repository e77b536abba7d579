"""Pages as one file each, that asks for nothing else: a template, a style, a script, and what the script reads."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from audiosae.system.files import MARK, check_replaceable, check_writable, is_marked
from audiosae.views.media import gradient_png

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from markupsafe import Markup

PAGES = (".html", ".htm")


def check_page(out: Path, inputs: Sequence[Path] = ()) -> None:
    """Refuse a page that cannot be written, before the work is done.

    Raises
    ------
    InputError
        Another suffix, no such folder, or it would take the place of an input or of what audiosae did not write.
    """
    check_writable(out, PAGES)
    check_replaceable(out, inputs, own=not out.exists() or is_marked(out))


def render_page(view: dict[str, Any]) -> bytes:
    """Return the page.

    Parameters
    ----------
    view
        title, heading, lead: texts · notes: texts above the units · items, sorts, groups, columns: see
        `audiosae.views.units_page` · pieces: of sources · about: sections below the units · colours: map of the atoms.

    Returns
    -------
    bytes
        HTML in UTF-8. Whatever stands in `view` is text there: Jinja2 escapes it in the markup and in the JSON that
        the script reads, and the page forbids every request and every script but its own.
    """
    bare = [item | {"sides": [_without_tile(side) for side in item["sides"]]} for item in view["items"]]
    blocks = {"items": {"items": bare, "bins": view["bins"], "labelName": view["label_name"]}, "pieces": view["pieces"]}
    return fill("page", view | {"gradient": gradient_png(view["colours"])}, blocks)


def fill(name: str, view: Mapping[str, Any], blocks: Mapping[str, Any]) -> bytes:
    """Return a page of a template and a script of that name.

    Parameters
    ----------
    name
        Of NAME.html.j2 and NAME.js.
    view
        What stands in the template; title, heading, lead and notes at least.
    blocks
        What the script reads, by the id of the element that holds it as JSON.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("audiosae.views"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    style, script = _own("page.css"), _own("parts.js") + _own(f"{name}.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = environment.get_template(f"{name}.html.j2").render(
        view, mark=MARK, style=Markup(style), script=Markup(script), script_hash=f"sha256-{digest}",  # noqa: S704
        blocks={key: as_json(value) for key, value in blocks.items()},
    )  # fmt: skip
    return text.encode()


def as_json(value: Any) -> Markup:  # noqa: ANN401
    """Return a value as JSON that can stand in a script element, whatever texts are in it."""
    from jinja2.utils import htmlsafe_json_dumps

    return htmlsafe_json_dumps(value, allow_nan=False, separators=(",", ":"))


def _without_tile(side: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the markup has already."""
    return {key: value for key, value in side.items() if key != "tile"}


def _own(name: str) -> str:
    return (files("audiosae.views") / "templates" / name).read_text(encoding="utf-8")


def bars(values: Sequence[float], *, high: float) -> list[dict[str, float]]:
    """Return the bars of a histogram in a box of 100 x 40, as high as the roots of the counts: few are seen too."""
    most = max(max(values, default=0), 1) ** 0.5
    width = 100 / max(1, len(values))
    return [
        {"x": round(i * width, 2), "width": round(0.9 * width, 2), "y": round(40 - 40 * value**0.5 / most, 2),
         "height": round(40 * value**0.5 / most, 2), "from": high * i / len(values), "count": value}
        for i, value in enumerate(values)
    ]  # fmt: skip
