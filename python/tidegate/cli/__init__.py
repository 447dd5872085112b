"""The command line: one file per command.

run       runs a document            explain   says what would happen to a request
check     loads and compiles one     routes    all routes in the order of precedence
schema    JSON Schema for editors    demo      a small shop behind a gateway, with a guided tour
version   what is installed          keys      makes, lists, rotates, revokes and imports API keys

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage.
"""

from tidegate.cli.main import main

__all__ = ["main"]
