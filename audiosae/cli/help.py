"""Layout of ``--help``: options in groups, and an example of each command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, get_args

from typer.core import TyperCommand, TyperGroup

from audiosae.system.parameters import Group

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audiosae.system.parameters import Command

    ClickObject = Any  # of Click, or of the copy of it that newer versions of Typer contain

_LONG = 12  # least number of options that are shown in groups
_OTHERS = "Output"


class GroupedCommand(TyperCommand):
    """A command whose help groups a long list of options, and ends with an example."""

    declared: ClassVar[Command]

    def format_options(self, ctx: ClickObject, formatter: ClickObject) -> None:
        """Write the arguments, and the options in their groups."""
        records = [(param, record) for param in self.get_params(ctx) if (record := param.get_help_record(ctx))]
        options = [(param.name, record) for param, record in records if param.param_type_name == "option"]
        sections = {"Arguments": [record for param, record in records if param.param_type_name == "argument"]}
        sections |= grouped(self.declared, options) if len(options) >= _LONG else {"Options": [r for _, r in options]}
        for title, lines in sections.items():
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)

    def format_epilog(self, _ctx: ClickObject, formatter: ClickObject) -> None:
        """Write the example in one line of any width, so that it can be copied."""
        formatter.write(f"\nExample:\n  {self.declared.example}\n")


class InOrder(TyperGroup):
    """A group that lists its commands in the order in which they were added."""

    def list_commands(self, _ctx: ClickObject) -> list[str]:
        """Return the names of the commands."""
        return list(self.commands)


def grouped(command: Command, options: Iterable[tuple[str | None, Any]]) -> Mapping[str, list[Any]]:
    """Return help records by the title of their group; `options` are pairs of parameter name and record."""
    groups = {parameter.name: parameter.option.group for parameter in command.parameters}
    sections: dict[str, list[Any]] = {title: [] for title in get_args(Group)}
    for name, record in options:
        sections[groups.get(name or "", _OTHERS)].append(record)
    return sections
