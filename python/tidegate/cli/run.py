"""Runs a gateway until it is told to stop.

SIGTERM and Ctrl-C stop it: it accepts nothing new and finishes what is open. SIGHUP loads the document again;
`--watch` does so
whenever a file changes. A document with problems changes nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tidegate.errors import UsageError


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("file", metavar="FILE", help="a YAML, JSON or TOML file, or a folder of them")
    parser.add_argument("--watch", action="store_true", help="load the document again whenever a file of it changes")
    parser.add_argument("--workers", type=int, metavar="N", help="worker threads, instead of what the document says")


def main(arguments: argparse.Namespace) -> int:
    """Carries the command out."""
    from tidegate import serve

    if arguments.workers is not None and not 1 <= arguments.workers <= 1024:
        raise UsageError("`--workers` takes a number from 1 to 1024")
    return serve.run(Path(arguments.file), watch=arguments.watch, workers=arguments.workers)
