"""The manual: `sphinx-build -W docs OUT` builds pages that open offline."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402 (the module docs/generate.py)

project, author, copyright = "audiosae", "The audiosae developers", "The audiosae developers, MIT"  # noqa: A001
version = release = version_of("audiosae")
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "formula",
    "matplotlib.sphinxext.plot_directive",  # pictures drawn by code in the pages
]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
numpydoc_show_class_members = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
toc_object_entries = False
default_role = "py:obj"  # names in docstrings become links
plot_html_show_formats = plot_html_show_source_link = False
plot_formats = [("png", 130)]
plot_rcparams = {"figure.facecolor": "white", "font.size": 9}
plot_apply_rcparams = True
exclude_patterns = ["_build", *(f"generated/{page}" for page in generate.COPIED)]  # included by other pages
html_theme = "alabaster"
html_title = f"audiosae {release}"
html_theme_options = {
    "description": "Sparse features of unlabelled recordings",
    "fixed_sidebar": True,
    "show_powered_by": False,
    "font_size": "1rem",
    "page_width": "68rem",
    "sidebar_width": "15rem",
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_show_sourcelink = False
html_copy_source = False
pygments_style = "bw"


def setup(app):  # noqa: ANN001, ANN201, D103
    app.connect("builder-inited", lambda _: generate.write_pages(HERE))
    app.connect("source-read", generate.redirect_links)
    app.connect("autodoc-skip-member", generate.skip_metadata_methods)
    app.connect("build-finished", generate.improve_accessibility)
    app.connect("autodoc-process-docstring", generate.escape_stars, priority=100)  # before numpydoc
