"""Sphinx directive for formulas, converted from TeX to MathML: text that browsers draw without MathJax or LaTeX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class Formula(SphinxDirective):
    """A formula in TeX notation."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the formula as a MathML element in a block that scrolls if it is too wide."""
        mathml = convert(" ".join(self.content), display="block")
        return [nodes.raw("", f'<div class="formula" tabindex="0">{mathml}</div>', format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("formula", Formula)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
