"""Prints the JSON Schema of the document, for editors.

An editor with a YAML language server completes and checks a document that begins with
`# yaml-language-server: $schema=tidegate.schema.json`.
"""

from __future__ import annotations

import argparse

from tidegate.cli import report
from tidegate.config.schema import schema


def options(parser: argparse.ArgumentParser) -> None:
    """The command has no arguments."""


def main(arguments: argparse.Namespace) -> int:
    """Carries the command out."""
    report.data_json(schema())
    return 0
