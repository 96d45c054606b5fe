"""What every part of the model of a mapping file stands on: strictness, names, and problems in our own words."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

_NAME = re.compile(r"[^\W\d_][\w-]*")
SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean", "null"]}
"""A scalar in the editor schema."""


def problem(message: str, hint: str = "") -> PydanticCustomError:
    """A problem in our own words; `parse` shows its hint."""
    return PydanticCustomError("mapping", "{message}", {"message": message, "hint": hint})


class Strict(BaseModel):
    """A part of a mapping file: keys that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise problem(f"{value!r} cannot be a name here", "letters, digits, - and _; a letter first")
    return value


def mapping_reference(value: str) -> str:
    """A mapping, or one of its sources: MAPPING or MAPPING.SOURCE."""
    name, dot, source = value.partition(".")
    if not _NAME.fullmatch(name) or (dot and not _NAME.fullmatch(source)):
        raise problem(
            f"{value!r} is not a mapping", "write MAPPING, or MAPPING.SOURCE when it has several sources"
        )
    return value


Name: TypeAlias = Annotated[str, AfterValidator(_name)]
