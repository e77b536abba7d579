"""Pages of the manual that are made from the code when it is built: commands, public names, the guide to domains."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer

from audiosae.cli import app
from audiosae.cli.help import EXAMPLES, grouped

if TYPE_CHECKING:
    from pathlib import Path

_MODULES = {  # page: (module, title)
    "python": ("audiosae", "Python"),
    "domain": ("audiosae.domain", "Writing domains"),
    "errors": ("audiosae.errors", "Errors"),
}
BESIDE = {  # page: what lies outside of docs/
    "benchmarks.md": "benchmarks/README.md",
    "domain-guide.md": "plugins/README.md",
    "images.md": "plugins/audiosae-images/README.md",
    "vectors.md": "plugins/audiosae-vectors/README.md",
}
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def write_pages(docs: Path) -> None:
    """Write the pages into ``docs/generated`` anew."""
    folder = docs / "generated"
    (folder / "commands").mkdir(parents=True, exist_ok=True)
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        _write(folder / "commands" / f"{name}.md", command_page(name, command))
    for page, (module, title) in _MODULES.items():
        _write(folder / f"{page}.rst", names_page(module, title))
    for page, source in BESIDE.items():
        text = (docs.parent / source).read_text(encoding="utf-8")
        _write(folder / page, _LINK.sub(lambda link: link[1], text))  # what they link to is not in the manual


def _write(path: Path, text: str) -> None:
    """Write a page unless it is there already: what has not changed is not built again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def command_page(name: str, command: Any) -> str:  # noqa: ANN401 (Typer's)
    """Return the page of a command, in Markdown: what it does, an example, arguments, options in groups."""
    context = command.make_context(name, [], resilient_parsing=True)
    there = [(param, record) for param in command.get_params(context) if (record := param.get_help_record(context))]
    arguments = [record for param, record in there if param.param_type_name == "argument"]
    options = grouped((param.name, record) for param, record in there if param.param_type_name == "option")
    usage = " ".join(["audiosae", name, "[OPTIONS]", *(param.metavar or "" for param in command.params
                                                       if param.param_type_name == "argument")])  # fmt: skip
    parts = [f"# audiosae {name}", inspect.cleandoc(command.help or ""), f"    {usage}",
             f"For example:\n\n```sh\n{EXAMPLES[name]}\n```"]  # fmt: skip
    for title, records in {"Arguments": arguments, **options}.items():
        if records:
            rows = [f"| {_code(first)} | {_cell(second)} |" for first, second in records]
            head = "| argument | is |" if title == "Arguments" else "| option | meaning |"
            parts.append("\n".join([f"## {title}", "", head, "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _code(text: str) -> str:
    return f"`{_cell(text)}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def names_page(module: str, title: str) -> str:
    """Return a page with every public name of a module, in reStructuredText."""
    there = import_module(module)
    lines = [title, "=" * len(title), "", f".. automodule:: {module}", ""]
    names = getattr(there, "__all__", None) or [name for name, value in vars(there).items()
                                                if getattr(value, "__module__", "") == module]  # fmt: skip
    for name in names:
        value = getattr(there, name)
        kind = "class" if inspect.isclass(value) else "function" if callable(value) else "data"
        kind = "exception" if inspect.isclass(value) and issubclass(value, BaseException) else kind
        lines += [f".. auto{kind}:: {module}.{name}", *(["   :members:"] if kind == "class" else []), ""]
    return "\n".join(lines)


def mend_links(_app: object, _page: str, source: list[str]) -> None:
    """Let links to files beside docs/ lead to their pages."""
    source[0] = source[0].replace("](../benchmarks/README.md", "](reference/measured.md")


def is_not_ours(_app: object, _what: str, name: str, _member: object, skip: bool, _options: object) -> bool | None:  # noqa: FBT001
    """Leave out what scikit-learn puts into every estimator."""
    return True if re.fullmatch(r"set_\w+_request", name) else skip or None


def mend_pages(app: Any, failed: object) -> None:  # noqa: ANN401 (Sphinx's)
    """Give headings of the navigation a level, and let code that scrolls be reached by keys: Sphinx does neither."""
    for page in [] if failed else app.outdir.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        mended = re.sub(r'role="heading"(?! aria-level)', 'role="heading" aria-level="3"', text)
        mended = mended.replace("<pre>", '<pre tabindex="0">')
        if mended != text:
            page.write_text(mended, encoding="utf-8")


def escape_stars(_app: object, _what: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    """Let a shape such as (count, *window) be no beginning of emphasis."""
    lines[:] = [re.sub(r"(?<![*\w])\*(?=\w+[,)])", r"\\*", line) for line in lines]
