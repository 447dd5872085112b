"""What all models of the document share: strictness, and errors in our words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

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
