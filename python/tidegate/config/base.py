"""What all models of the document share: strictness, errors in our words, durations and sizes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from tidegate.config.problem import Interpolated, quote

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass as ModelMeta
else:

    class ModelMeta(type(BaseModel)):
        """Lets `Route(...)` in Python fail with a `ConfigError`; validation of nested data does not pass here."""

        def __call__(cls, *args, **kwargs):
            from pydantic import ValidationError

            try:
                return super().__call__(*args, **kwargs)
            except ValidationError as error:
                from tidegate.config.translate import python_error

                raise python_error(cls, kwargs, error) from None


class Model(BaseModel, metaclass=ModelMeta):
    """A mapping of the document: unknown keys are errors, values are not converted behind the writer's back."""

    model_config = ConfigDict(extra="forbid", strict=True, validate_default=False, regex_engine="rust-regex")


def problem(code: str, message: str, hint: str | None = None) -> PydanticCustomError:
    """An error of a validator that keeps its code, text and hint on the way through pydantic."""
    return PydanticCustomError("tidegate", "{message}", {"code": f"config.{code}", "message": message, "hint": hint})


_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "KB": 1000, "MB": 1000**2, "GB": 1000**3}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMG]i?B|B)")
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
"""`300ms`, `2s`, `5m`, `1h`, `1d`; a bare number is milliseconds."""

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
"""`10MiB`, `512KiB`, `64KB`; a bare number is bytes."""

Text = Annotated[str, PlainValidator(text), WithJsonSchema({"type": "string"})]
"""Text that may be a secret, or hold references."""

_TEXTS: dict[str, Any] = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}

Texts = Annotated[list[str], BeforeValidator(one_or_many), WithJsonSchema(_TEXTS)]
"""A list of texts; a single text stands for a list of one."""

Integer = Annotated[int, BeforeValidator(number)]
Truth = Annotated[bool, BeforeValidator(truth)]
