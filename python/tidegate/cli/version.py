"""Prints what is installed."""

from __future__ import annotations

import argparse
import platform
from importlib import metadata

from tidegate.cli import report


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def main(arguments: argparse.Namespace) -> int:
    """Carries the command out."""
    if arguments.json:
        report.data_json({"version": installed(), "python": platform.python_version(), "platform": platform.platform()})
    else:
        report.data(f"tidegate {installed()}")
    return 0


def installed() -> str:
    """The version of the installed package."""
    try:
        return metadata.version("tidegate")
    except metadata.PackageNotFoundError:  # run from a source tree
        return "(source tree)"
