"""Formulas as pictures in the page itself, drawn by Matplotlib: neither a script from elsewhere nor LaTeX is needed."""

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
    """A formula in TeX's notation, which is also what is read aloud."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the picture."""
        text, drawn = " ".join(self.content), io.BytesIO()
        math_to_image(f"${text}$", drawn, prop=_FONT, format="svg", dpi=72)
        url = "data:image/svg+xml;base64," + base64.b64encode(drawn.getvalue()).decode()
        return [nodes.raw("", f'<p><img class="formula" alt="{escape(text)}" src="{url}"></p>', format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Let pages have formulas."""
    app.add_directive("formula", Formula)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
