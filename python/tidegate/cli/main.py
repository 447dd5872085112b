"""Takes the command line apart and calls the command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from tidegate.cli import check, demo, explain, keys, plugins, report, routes, run, schema, test, version
from tidegate.errors import ConfigError, TidegateError, UsageError

COMMANDS = (run, check, test, explain, routes, keys, plugins, schema, demo, version)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code."""
    try:
        options = parser().parse_args(arguments)
    except SystemExit as left:  # argparse has said what is wrong, or printed the help
        return left.code if isinstance(left.code, int) else 2
    try:
        code: int = options.command(options)
        sys.stdout.flush()
        return code
    except UsageError as error:
        report.note(f"tidegate {options.command_name}: {error}")
        return 2
    except ConfigError as error:
        report.problems(error.problems)
        report.note(report.summary(error.problems))
        return 1
    except TidegateError as error:
        report.note(f"tidegate {options.command_name}: {error}")
        return 1
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    top = argparse.ArgumentParser(prog="tidegate", description="An API gateway, described in YAML or typed Python.")
    top.add_argument("--version", action="version", version=f"tidegate {version.installed()}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", dest="command_name", required=True)
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2]
        text = (command.__doc__ or "").strip()
        added = commands.add_parser(name, help=text.partition("\n")[0].rstrip("."), description=text)
        command.options(added)
        added.set_defaults(command=command.main)
    return top
