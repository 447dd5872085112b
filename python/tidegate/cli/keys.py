"""Makes, lists, rotates, revokes and imports the API keys of consumers.

A key is shown once, when it is made; the store keeps its SHA-256. Every gateway on the store takes a change up within a
second, without a reload. The store is that of `--store`, else that of the document `--document`, else that of
`TIDEGATE_STORE`, else `tidegate.db` in the current folder.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from tidegate.cli import report
from tidegate.cli.keys_input import password, place, read_keys, read_secret, seconds, when
from tidegate.config.problem import count
from tidegate.errors import UsageError
from tidegate.store import Key, KeyStore, open_store
from tidegate.store import secret as form
from tidegate.store.keys import check_name

Command = Callable[[argparse.Namespace], int]


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    create = _command(commands, "create", create_key, "make a key and show it, once")
    create.add_argument("--consumer", required=True, metavar="NAME", help="whose key it is")
    create.add_argument("--name", default="", help="what it is for, such as `ci` or `mobile app`")
    create.add_argument("--expires", metavar="WHEN", help="`90d`, `12h` or a date such as `2027-01-31`; default: never")
    create.add_argument("--prefix", default=form.DEFAULT_PREFIX, help=f"what it begins with; {form.DEFAULT_PREFIX}")
    create.add_argument("--tier", help="the consumer's tier from now on")
    create.add_argument(
        "--tag", action="append", dest="tags", metavar="TAG", help="a tag of the consumer; again for more"
    )

    show = _command(commands, "list", list_keys, "show keys: whose they are, and until when they are good")
    show.add_argument("--consumer", metavar="NAME", help="only this consumer's")
    show.add_argument("--active", action="store_true", help="only keys that open something")

    rotate = _command(commands, "rotate", rotate_key, "make a successor of a key; both are good for a while")
    rotate.add_argument("id", metavar="ID", help="the key, as `list` shows it")
    rotate.add_argument("--overlap", default="24h", metavar="TIME", help="how long the old key goes on; 24h")
    rotate.add_argument(
        "--expires", metavar="WHEN", help="end of the new key; default: it lives as long as the old one"
    )

    revoke = _command(commands, "revoke", revoke_keys, "end keys at once")
    revoke.add_argument("ids", nargs="*", metavar="ID", help="the keys, as `list` shows them")
    revoke.add_argument("--consumer", metavar="NAME", help="all keys of this consumer")
    revoke.add_argument(
        "--from-stdin", action="store_true", help="the key itself, a line on stdin: for one that leaked"
    )

    take = _command(commands, "import", import_keys, "take keys that were made elsewhere")
    take.add_argument(
        "file", metavar="FILE", help="CSV or JSON lines: consumer, key, and perhaps name, expires, tier; `-`: stdin"
    )
    take.add_argument(
        "--allow-weak", action="store_true", help=f"keys shorter than {form.SHORTEST_IMPORTED} characters too"
    )

    hashing = _command(commands, "hash-password", hash_password, "hash a password for `basic`; no store", store=False)
    hashing.add_argument("--stdin", action="store_true", help="read it from stdin instead of asking twice")


def main(arguments: argparse.Namespace) -> int:
    """Carries the command out."""
    command: Command = arguments.keys_command
    return command(arguments)


def create_key(arguments: argparse.Namespace) -> int:
    """Makes a key and prints it."""
    expires = None if arguments.expires is None else when(arguments.expires, time.time())
    if not form.is_prefix(arguments.prefix):
        raise UsageError("`--prefix` takes words of small letters and digits joined by `_`, such as `tg_test`")
    if arguments.name:
        check_name(arguments.name, "a key")
    with _store(arguments) as store:
        key, secret = store.create(
            arguments.consumer,
            name=arguments.name,
            expires=expires,
            prefix=arguments.prefix,
            tier=arguments.tier,
            tags=arguments.tags,
        )
    _show_secret(arguments, key, secret)
    return 0


def list_keys(arguments: argparse.Namespace) -> int:
    """Prints what the store knows of keys."""
    now = time.time()
    with _store(arguments) as store:
        keys = store.list_keys(arguments.consumer)
    if arguments.active:
        keys = [key for key in keys if key.state(now) == "active"]
    if arguments.json:
        report.data_json([_json(key, now) for key in keys])
    elif keys:
        head = ("ID", "CONSUMER", "NAME", "KEY", "STATE", "CREATED", "EXPIRES")
        report.data(report.table(head, [_row(key, now) for key in keys]))
    else:
        report.note("no keys")
    return 0


def rotate_key(arguments: argparse.Namespace) -> int:
    """Makes a successor and prints it."""
    now = time.time()
    overlap = seconds(arguments.overlap, "--overlap")
    expires = None if arguments.expires is None else when(arguments.expires, now)
    with _store(arguments) as store:
        key, secret = store.rotate(arguments.id, overlap=overlap, expires=expires)
        old = store.key(arguments.id)
    _show_secret(arguments, key, secret)
    report.note(f"the old key {old.hint} is good until {_moment(old.expires)}")
    return 0


def revoke_keys(arguments: argparse.Namespace) -> int:
    """Ends keys."""
    ways = [bool(arguments.ids), arguments.consumer is not None, arguments.from_stdin]
    if sum(ways) != 1:
        raise UsageError("name keys by their ids, or give `--consumer`, or `--from-stdin`")
    leaked = read_secret() if arguments.from_stdin else None
    with _store(arguments) as store:
        ids = list(arguments.ids)
        if arguments.consumer is not None:
            ids = [key.id for key in store.list_keys(arguments.consumer) if key.revoked is None]
        elif leaked is not None:
            ids = [store.find(leaked).id]
        keys = store.revoke(ids) if ids else []
    if arguments.json:
        now = time.time()
        report.data_json([_json(key, now) for key in keys])
    else:
        for key in keys:
            report.data(f"revoked {key.id} {key.hint} of {key.consumer}")
        if not keys:
            report.note("no keys")
    return 0


def import_keys(arguments: argparse.Namespace) -> int:
    """Takes keys from a file."""
    keys = read_keys(arguments.file, weak=arguments.allow_weak)
    with _store(arguments) as store:
        new = store.import_keys(keys)
    if arguments.json:
        report.data_json({"imported": new, "known": len(keys) - new})
    else:
        known = f", {len(keys) - new} were known" if len(keys) > new else ""
        report.data(f"{count(new, 'key')} imported{known}")
    return 0


def hash_password(arguments: argparse.Namespace) -> int:
    """Prints the hash of a password, for `basic`."""
    from tidegate._native import hash_password as argon2id

    hashed = argon2id(password(stdin=arguments.stdin))
    if arguments.json:
        report.data_json({"password_hash": hashed})
    else:
        report.data(hashed)
    return 0


# ---- parts


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    carry_out: Command,
    text: str,
    *,
    store: bool = True,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    if store:
        parser.add_argument("--store", metavar="URL", help="`sqlite:///file.db` or `postgresql://user@host/database`")
        parser.add_argument("--document", metavar="FILE", help="the document whose `store` it is")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    parser.set_defaults(keys_command=carry_out)
    return parser


class _store:  # noqa: N801  (used as a function in `with`)
    """The store of the command line, closed in the end."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._url = place(arguments.store, arguments.document)
        self._create = arguments.keys_command in (create_key, import_keys)

    def __enter__(self) -> KeyStore:
        path = self._url.path
        is_new = path is not None and not path.exists()
        self._opened = open_store(self._url, create=self._create)
        if is_new:
            # In the wrong folder this makes keys that no gateway ever sees.
            report.note(f"made the store {self._url.shown}; gateways read the one that their document names")
        return self._opened

    def __exit__(self, *_: object) -> None:
        self._opened.close()


def _show_secret(arguments: argparse.Namespace, key: Key, secret: str) -> None:
    if arguments.json:
        report.data_json({**_json(key, time.time()), "key": secret})
        return
    report.data(secret)
    until = "" if key.expires is None else f", good until {_moment(key.expires)}"
    report.note(f"key {key.id} of {key.consumer}{until}; it is shown only now")


def _json(key: Key, now: float) -> dict[str, object]:
    return {
        "id": key.id,
        "consumer": key.consumer,
        "name": key.name or None,
        "hint": key.hint,
        "state": key.state(now),
        "created": _moment(key.created),
        "expires": None if key.expires is None else _moment(key.expires),
        "revoked": None if key.revoked is None else _moment(key.revoked),
        "replaced_by": key.replaced_by,
    }


def _row(key: Key, now: float) -> tuple[str, ...]:
    return (
        key.id,
        key.consumer,
        key.name or "-",
        key.hint,
        key.state(now),
        _moment(key.created)[:10],
        "never" if key.expires is None else _moment(key.expires),
    )


def _moment(seconds_since_epoch: int | None) -> str:
    return (
        "ever" if seconds_since_epoch is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds_since_epoch))
    )
