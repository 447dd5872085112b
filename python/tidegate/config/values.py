"""Values as people write them: durations, sizes, texts, and what they become."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import BeforeValidator, PlainSerializer, PlainValidator, WithJsonSchema

from tidegate.config.base import problem
from tidegate.config.problem import Interpolated, quote

_HUNDRED_YEARS_MS = 100 * 365 * 86_400_000
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "KB": 1000, "MB": 1000**2, "GB": 1000**3}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMG]i?B|B)")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)(%?)")
LONGEST_DURATION_MS = 30 * 86_400_000
LARGEST_SIZE = 1 << 50


def duration(value: object) -> int:
    """Milliseconds of `300ms`, `2s`, `5m`, `1h`, or of a bare number."""
    if isinstance(value, Interpolated) and value.isdecimal():
        value = int(value[:20])
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match is None:
            raise problem("bad_duration", f"expected a duration such as `2s`, got {quote(value)}", _near_unit(value))
        exact = float(match[1][:20]) * _UNITS[match[2]]
        value = round(exact) if 0 < exact < LONGEST_DURATION_MS * 2 else LONGEST_DURATION_MS + 1 if exact else 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise problem("bad_duration", f"expected a duration such as `2s`, got {quote(value)}")
    if not 0 < value <= LONGEST_DURATION_MS:
        raise problem("bad_duration", "a duration must be more than zero and at most 30 days")
    return value


def long_duration(value: object) -> int:
    """As `duration`, up to a hundred years: for clocks that are moved, which nobody waits for."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is not None and 0 < (exact := float(match[1][:20]) * _UNITS[match[2]]) <= _HUNDRED_YEARS_MS:
        return max(round(exact), 1)
    return duration(value)


def _near_unit(value: str) -> str | None:
    if isinstance(value, Interpolated):
        return None
    compact = value.replace(" ", "").lower()
    words = (("milliseconds", "ms"), ("seconds", "s"), ("minutes", "m"), ("hours", "h"), ("days", "d"))
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z]+)", compact)
    if match is None:
        return f"write `{value}s` or, for milliseconds, the bare number" if value.isdecimal() else None
    for word, unit in words:
        if match[2] in (unit, word, word[:-1], word[:3]):
            return f"write `{match[1]}{unit}`"
    return None


def size(value: object) -> int:
    """Bytes of `10MiB`, `512KiB`, `64KB`, or of a bare number."""
    if isinstance(value, Interpolated) and value.isdecimal():
        value = int(value[:20])
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        if match is None:
            raise problem("bad_size", f"expected a size such as `10MiB`, got {quote(value)}", _near_size(value))
        value = int(float(match[1][:20]) * _SIZES[match[2]])
    if not isinstance(value, int) or isinstance(value, bool):
        raise problem("bad_size", f"expected a size such as `10MiB`, got {quote(value)}")
    if not 0 <= value <= LARGEST_SIZE:
        raise problem("bad_size", "a size must be at least zero and at most 1 PiB")
    return value


def _near_size(value: str) -> str | None:
    if isinstance(value, Interpolated):
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmg])(i?b)?", value.strip().lower())
    return f"write `{match[1]}{match[2].upper()}iB`" if match else None


def share(value: object) -> int:
    """Millionths of a share such as `0.2` or `20%`."""
    number: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    elif isinstance(value, str) and (match := _SHARE.fullmatch(value)):
        number = float(match[1]) / (100 if match[2] else 1)
    if number is None:
        raise problem("bad_value", f"expected a share such as `0.2` or `20%`, got {quote(value)}")
    if not 0 <= number <= 1:
        raise problem("bad_value", f"a share is from 0 to 1, or from 0% to 100%, got {quote(value)}")
    return round(number * 1_000_000)


def show_share(value: int) -> float:
    """A share as it is written, from millionths."""
    return value / 1_000_000


def show_duration(value: int) -> str:
    """The shortest exact way to write some milliseconds."""
    for unit, factor in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if value % factor == 0:
            return f"{value // factor}{unit}"
    return f"{value}ms"


def show_size(value: int) -> str | int:
    """The shortest exact way to write some bytes."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value and value % factor == 0:
            return f"{value // factor}{unit}"
    return value


def text(value: object) -> str:
    """Text as it is; unlike pydantic's own, it keeps the mark of a value that was interpolated."""
    if isinstance(value, str):
        return value
    plain = value is None or isinstance(value, bool | int | float)
    hint = None if value is None or not plain else f'write `"{quote(value).strip("`")}"`, in quotes'
    raise problem("wrong_type", f"expected text, got {quote(value)}", hint)


def port_hint(port: object) -> str:
    """What to write instead of a bare port."""
    return f"write `127.0.0.1:{port}`, or `0.0.0.0:{port}` for every address of this machine"


def listener_address(value: object) -> str:
    """The text of an address to listen on."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise problem("bad_address", f"expected `IP:PORT` or `unix:/path`, got {quote(value)}", port_hint(value))
    return text(value)


def one_or_many(value: object) -> object:
    """Lets a single text stand for a list of one."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple):
        return list(value)
    plain = isinstance(value, bool | int | float)
    hint = f'write `"{quote(value).strip("`")}"`, in quotes' if plain else None
    raise problem("wrong_type", f"expected text or a list of texts, got {quote(value)}", hint)


def number(value: object) -> object:
    """Lets interpolated text stand for a whole number."""
    return int(value[:20]) if isinstance(value, Interpolated) and value.isdecimal() else value


def truth(value: object) -> object:
    """Lets interpolated text stand for `true` or `false`."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, Interpolated) else value


def duration_or_zero(value: object) -> int:
    """As `duration`, where none at all has a meaning."""
    return 0 if value in (0, "0", "0s", "0ms") and not isinstance(value, bool) else duration(value)


def condition(value: object) -> object:
    """The values of a header, query or cookie condition: `true` is no value, which means presence."""
    if value is True:
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        if not value:
            raise problem("bad_value", "expected at least one value", "write `true` to ask only that it is present")
        for entry in value:
            if not isinstance(entry, str):
                raise problem("wrong_type", f"expected text, got {quote(entry)}", f'write `"{_plain(entry)}"`')
        return value
    raise problem(
        "wrong_type",
        f"expected text, a list of texts or `true`, got {quote(value)}",
        None if value is None or isinstance(value, dict) else f'write `"{_plain(value)}"`',
    )


def _plain(value: object) -> str:
    return quote(value).strip("`")


_STRING: dict[str, Any] = {"type": "string"}
_STRINGS: dict[str, Any] = {"type": "array", "items": _STRING}

if TYPE_CHECKING:
    # What may be given in Python; after validation it is what the functions above return.
    Duration: TypeAlias = int | str
    LongDuration: TypeAlias = int | str
    DurationOrZero: TypeAlias = int | str
    Size: TypeAlias = int | str
    Share: TypeAlias = float | str
    Text: TypeAlias = str
    ListenerAddress: TypeAlias = str
    Texts: TypeAlias = list[str] | str
    FilledTexts: TypeAlias = list[str] | str
    Condition: TypeAlias = list[str] | str | bool
    Integer: TypeAlias = int
    Truth: TypeAlias = bool
else:
    Duration = Annotated[
        int,
        BeforeValidator(duration),
        PlainSerializer(show_duration, when_used="json"),
        WithJsonSchema(
            {
                "anyOf": [{"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"}, {"type": "integer"}],
                "title": "duration",
            }
        ),
    ]
    LongDuration = Annotated[
        int,
        BeforeValidator(long_duration),
        PlainSerializer(show_duration, when_used="json"),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}], "title": "duration"}),
    ]
    DurationOrZero = Annotated[
        int,
        BeforeValidator(duration_or_zero),
        PlainSerializer(lambda value: show_duration(value) if value else 0, when_used="json"),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}], "title": "duration"}),
    ]
    Size = Annotated[
        int,
        BeforeValidator(size),
        PlainSerializer(show_size, when_used="json"),
        WithJsonSchema(
            {
                "anyOf": [{"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?([KMG]i?B|B)$"}, {"type": "integer"}],
                "title": "size",
            }
        ),
    ]
    Share = Annotated[
        int,
        BeforeValidator(share),
        PlainSerializer(show_share, when_used="json"),
        WithJsonSchema(
            {
                "anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string"}],
                "title": "share",
            }
        ),
    ]
    Text = Annotated[str, PlainValidator(text), WithJsonSchema({"type": "string"})]
    ListenerAddress = Annotated[str, PlainValidator(listener_address), WithJsonSchema({"type": "string"})]
    Texts = Annotated[list[str], BeforeValidator(one_or_many), WithJsonSchema({"anyOf": [_STRING, _STRINGS]})]
    # As `Texts`; keeps the mark of values that were interpolated.
    FilledTexts = Annotated[list[Text], BeforeValidator(one_or_many), WithJsonSchema({"anyOf": [_STRING, _STRINGS]})]
    Condition = Annotated[
        list[str],
        BeforeValidator(condition),
        PlainSerializer(lambda values: values or True, when_used="json"),
        WithJsonSchema({"anyOf": [_STRING, _STRINGS, {"const": True}]}),
    ]
    Integer = Annotated[int, BeforeValidator(number)]
    Truth = Annotated[bool, BeforeValidator(truth)]
