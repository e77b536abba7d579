"""Generated pages of the manual: commands and public names from the code, and pages copied from outside docs/."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer

from audiosae.cli import COMMANDS, app
from audiosae.cli.help import grouped

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from audiosae.system.parameters import Command

_MODULES = {  # page: (module, title)
    "python": ("audiosae", "Python"),
    "domain": ("audiosae.domain", "Writing domains"),
    "errors": ("audiosae.errors", "Errors"),
}
COPIED = {  # page: source outside docs/
    "benchmarks.md": "benchmarks/README.md",
    "domain-guide.md": "plugins/README.md",
    "images.md": "plugins/audiosae-images/README.md",
    "vectors.md": "plugins/audiosae-vectors/README.md",
}
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
_DETAILS = re.compile(r"(?:\s*\[[^\]]*\])+$")  # the end of a help text: "[default: 20; x>=1]"


def write_pages(docs: Path) -> None:
    """Write the pages into ``docs/generated``."""
    folder = docs / "generated"
    (folder / "commands").mkdir(parents=True, exist_ok=True)
    for command in COMMANDS:
        _write(folder / "commands" / f"{command.name}.md", command_page(command))
    for page, (module, title) in _MODULES.items():
        _write(folder / f"{page}.rst", names_page(module, title))
    for page, source in COPIED.items():
        text = (docs.parent / source).read_text(encoding="utf-8")
        _write(folder / page, _LINK.sub(lambda link: link[1], text))  # the manual lacks the targets of these links


def _write(path: Path, text: str) -> None:
    """Write a page if it has changed, so that Sphinx does not build the others again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def command_page(command: Command) -> str:
    """Return the page of a command, in Markdown: summary, example, arguments, options in groups."""
    group: Any = typer.main.get_command(app)
    parser = group.commands[command.name]
    context = parser.make_context(command.name, [], resilient_parsing=True)
    records: dict[str, list[Any]] = {"argument": [], "option": []}
    for param in parser.get_params(context):
        if record := param.get_help_record(context):
            records[param.param_type_name].append((param.name, (param.name, *record)))
    names = [param.metavar for param in parser.params if param.param_type_name == "argument" and param.metavar]
    parts = [
        f"# audiosae {command.name}",
        inspect.cleandoc(parser.help or ""),
        "    " + " ".join(["audiosae", command.name, "[OPTIONS]", *names]),
        f"For example:\n\n```sh\n{command.example}\n```",
    ]
    if records["argument"]:
        rows = [f"| {_code(usage)} | {_cell(_DETAILS.sub('', text))} |" for _, (_, usage, text) in records["argument"]]
        parts.append("\n".join(["## Arguments", "", "| argument | meaning |", "|---|---|", *rows]))
    for title, options in grouped(command, records["option"]).items():
        if options:
            parts.append(f"## {title}\n\n{_option_table(command, options)}")
    return "\n\n".join(parts) + "\n"


def _option_table(command: Command, options: Iterable[tuple[str, str, str]]) -> str:
    """Return a table of options, given as parameter name, usage and help text."""
    ranges = {parameter.name: parameter.option.range for parameter in command.parameters}
    rows = ["| option | meaning | default | allowed |", "|---|---|---|---|"]
    for name, usage, text in options:
        details = match[0] if (match := _DETAILS.search(text)) else ""
        default = match[1] if (match := re.search(r"default: ([^;\]]*)", details)) else ""
        default = "required" if "[required]" in details else default
        usage, meaning = usage.replace(" range>", ">"), _DETAILS.sub("", text)
        rows.append(f"| {_code(usage)} | {_cell(meaning)} | {_cell(default)} | {_cell(ranges.get(name, ''))} |")
    return "\n".join(rows)


def _code(text: str) -> str:
    return f"`{_cell(text)}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def names_page(module: str, title: str) -> str:
    """Return a page with every public name of a module, in reStructuredText."""
    imported = import_module(module)
    lines = [title, "=" * len(title), "", f".. automodule:: {module}", ""]
    own_names = [name for name, value in vars(imported).items() if getattr(value, "__module__", "") == module]
    for name in getattr(imported, "__all__", None) or own_names:
        value = getattr(imported, name)
        kind = "class" if inspect.isclass(value) else "function" if callable(value) else "data"
        kind = "exception" if inspect.isclass(value) and issubclass(value, BaseException) else kind
        lines += [f".. auto{kind}:: {module}.{name}", *(["   :members:"] if kind == "class" else []), ""]
    return "\n".join(lines)


def redirect_links(_app: object, _page: str, source: list[str]) -> None:
    """Replace links to files outside docs/ by links to their pages."""
    source[0] = source[0].replace("](../benchmarks/README.md", "](reference/measured.md")


def skip_metadata_methods(*arguments: Any) -> bool | None:  # noqa: ANN401 (Sphinx passes six)
    """Leave out the metadata methods that scikit-learn adds to every estimator."""
    _app, _what, name, _member, skip, _options = arguments
    return True if re.fullmatch(r"set_\w+_request", name) else skip or None


def improve_accessibility(app: Any, failed: object) -> None:  # noqa: ANN401 (Sphinx's)
    """Give navigation headings a level, and make scrolling code and tables reachable from the keyboard."""
    examples = app.outdir / "examples"  # these are pages of the program
    pages = [] if failed else [page for page in app.outdir.rglob("*.html") if examples not in page.parents]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        improved = re.sub(r'role="heading"(?! aria-level)', 'role="heading" aria-level="3"', text)
        improved = improved.replace("<pre>", '<pre tabindex="0">').replace(' aria-label="Toggle hidden content"', "")
        improved = improved.replace('<div class="output text_html">', '<div class="output text_html" tabindex="0">')
        improved = improved.replace('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper')
        if improved != text:
            page.write_text(improved, encoding="utf-8")


def escape_stars(_app: object, _what: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    """Escape the star in shapes such as (count, *window), which reStructuredText would read as emphasis."""
    lines[:] = [re.sub(r"(?<![*\w])\*(?=\w+[,)])", r"\\*", line) for line in lines]
