"""Sphinx directive for formulas, drawn by Matplotlib and embedded as SVG: needs no MathJax and no LaTeX."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

from docutils import nodes
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import math_to_image
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_FONT = FontProperties(size=16, math_fontfamily="stix")


class Formula(SphinxDirective):
    """A formula in TeX notation; the notation is also the alternative text for screen readers."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the formula as an image node."""
        text, svg = " ".join(self.content), io.BytesIO()
        math_to_image(f"${text}$", svg, prop=_FONT, format="svg", dpi=72)
        url = "data:image/svg+xml;base64," + base64.b64encode(svg.getvalue()).decode()
        return [nodes.raw("", f'<p><img class="formula" alt="{escape(text)}" src="{url}"></p>', format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("formula", Formula)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
