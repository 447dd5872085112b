"""Runs a small shop behind a gateway, with a guided tour.

User, order, product and shipping services answer on loopback; the tour sends real requests through the gateway and
shows each
as the curl command a person would type. Then everything stays up until Ctrl-C.
"""

from __future__ import annotations

import argparse


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument(
        "--once", action="store_true", help="leave after the tour, with 1 unless every answer was right"
    )


def main(arguments: argparse.Namespace) -> int:
    """Carries the command out."""
    from tidegate import demo

    return demo.run(once=arguments.once)
