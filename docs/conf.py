"""The manual: `sphinx-build -W docs OUT` runs its notebooks and builds pages that open offline."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
(HERE / "generated/pages").mkdir(parents=True, exist_ok=True)  # before Sphinx checks html_extra_path
os.environ["PATH"] = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]  # for notebooks
ipython = HERE / "generated/ipython"  # notebooks do not run the user's start-up files
(ipython / "profile_default").mkdir(parents=True, exist_ok=True)
(ipython / "profile_default/ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 40\n")  # errors only
os.environ["IPYTHONDIR"] = str(ipython)

import gallery  # noqa: E402 (the module docs/gallery.py)
import generate  # noqa: E402 (the module docs/generate.py)

project, author, copyright = "audiosae", "The audiosae developers", "The audiosae developers, MIT"  # noqa: A001
version = release = version_of("audiosae")
extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_design",
    "formula",
    "matplotlib.sphinxext.plot_directive",  # pictures drawn by code in the pages
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_timeout = 300  # s per cell
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
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
html_theme = "furo"
html_title = f"audiosae {release}"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1d5b8f", "color-brand-content": "#1d5b8f"},
    "dark_css_variables": {"color-brand-primary": "#8cc4f0", "color-brand-content": "#8cc4f0"},
}
html_static_path = ["_static"]
html_extra_path = ["generated/pages"]  # pages that the program writes, shown by the gallery
html_css_files = ["manual.css"]
html_show_sourcelink = False
html_copy_source = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"


def setup(app):  # noqa: ANN001, ANN201, D103
    app.connect("builder-inited", lambda _: generate.write_pages(HERE))
    app.connect("builder-inited", lambda _: gallery.write_gallery(HERE))
    app.connect("source-read", generate.redirect_links)
    app.connect("autodoc-skip-member", generate.skip_metadata_methods)
    app.connect("build-finished", generate.improve_accessibility)
    app.connect("autodoc-process-docstring", generate.escape_stars, priority=100)  # before numpydoc
