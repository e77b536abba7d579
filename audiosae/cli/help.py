"""What ``--help`` shows besides the options themselves: options in groups, and an example of each command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, get_args

from typer.core import TyperCommand, TyperGroup

from audiosae.system.parameters import Group

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audiosae.system.parameters import Command

_LONG = 12  # options; a list of so many is grouped
_OTHERS = "Output"


class GroupedCommand(TyperCommand):
    """A command whose help groups a long list of options, and ends with an example."""

    declared: ClassVar[Command]

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 (Typer's or Click's, whichever it has)
        """Write arguments, and options in their groups."""
        records = [(param, record) for param in self.get_params(ctx) if (record := param.get_help_record(ctx))]
        options = [(param.name, record) for param, record in records if param.param_type_name == "option"]
        sections = {"Arguments": [record for param, record in records if param.param_type_name == "argument"]}
        sections |= grouped(self.declared, options) if len(options) >= _LONG else {"Options": [r for _, r in options]}
        for title, lines in sections.items():
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002
        """Write the example, in one line whatever the width, so that it can be copied."""
        formatter.write(f"\nExample:\n  {self.declared.example}\n")


class InOrder(TyperGroup):
    """Lists the commands in the order of the work, as they were added."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002
        """Return the names of the commands."""
        return list(self.commands)


def grouped_class(command: Command) -> type[GroupedCommand]:
    """Return the class of a command of Typer's whose help is that of a declared command."""
    return type(command.name, (GroupedCommand,), {"declared": command})


def grouped(command: Command, options: Iterable[tuple[str | None, Any]]) -> Mapping[str, list[Any]]:
    """Return the help records of options, (parameter name, record), under the titles of their groups."""
    groups = {parameter.name: parameter.option.group for parameter in command.parameters}
    sections: dict[str, list[Any]] = {title: [] for title in get_args(Group)}
    for name, record in options:
        sections[groups.get(name or "", _OTHERS)].append(record)
    return sections
