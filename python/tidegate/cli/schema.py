"""Prints the JSON Schema of the document, or of files of tests, for editors.

An editor with a YAML language server completes and checks a document that begins with
`# yaml-language-server: $schema=tidegate.schema.json`.
"""

from __future__ import annotations

import argparse

from tidegate.cli import report
from tidegate.config.schema import schema, schema_of_tests


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("--tests", action="store_true", help="that of files of tests, such as `gateway.test.yaml`")


def main(arguments: argparse.Namespace) -> int:
    """Carries the command out."""
    report.data_json(schema_of_tests() if arguments.tests else schema())
    return 0
