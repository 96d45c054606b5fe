"""What people call a field: one text, or one for each language that reports are written in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, WithJsonSchema

from migrator.core.document import did_you_mean
from migrator.mapping.model_base import problem

LANGUAGES = ("en", "zh_CN", "zh_TW", "ms")


def _checked(value: object) -> object:
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping) or not value:
        raise problem("this is no label", "write a text, or one a language: {en: Stage, zh_CN: 阶段}")
    for language, text in value.items():
        if language not in LANGUAGES:
            raise problem(
                f"unknown language {language!r}", did_you_mean(str(language), LANGUAGES, noun="languages")
            )
        if not isinstance(text, str) or not text.strip():
            raise problem(f"the label in {language} is no text", "write a text, or leave the language out")
    return dict(value)


_ONE_EACH: dict[str, Any] = {
    "type": "object",
    "properties": {language: {"type": "string"} for language in LANGUAGES},
    "additionalProperties": False,
    "minProperties": 1,
}
Label: TypeAlias = Annotated[
    str | dict[str, str],
    BeforeValidator(_checked),
    WithJsonSchema({"anyOf": [{"type": "string"}, _ONE_EACH]}),
]


def main_label(label: str | Mapping[str, str] | None) -> str:
    """The label where only one has room: the English one, else the first; '' for none."""
    if label is None or isinstance(label, str):
        return label or ""
    return label.get("en") or next(iter(label.values()))


def by_language(label: str | Mapping[str, str] | None) -> dict[str, str]:
    """Language → label; empty for none, and for one text that is the same in every language."""
    return dict(label) if isinstance(label, Mapping) else {}
