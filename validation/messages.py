"""Texts of the report in the reader's language, from one catalogue file a language."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

LANGUAGES = ("en", "zh_CN")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The texts of one language; an id that is not there is an error of ours, never an empty place in a report."""

    language: str
    texts: Mapping[str, str | Mapping[str, str]]
    """Id → text, or → forms 'one' and 'other', chosen by the number `failed` or `n`."""

    def __call__(self, name: str, /, **values: object) -> str:
        """The text called `name`; whole numbers get thousands separators."""
        shown = {key: f"{value:,}" if isinstance(value, int) else str(value) for key, value in values.items()}
        text = self.texts[name]
        if not isinstance(text, str):
            text = text["one" if values.get("failed", values.get("n")) == 1 else "other"]
        return text.format_map(shown)

    def has(self, name: str) -> bool:
        """Whether there is such a text."""
        return name in self.texts


@cache
def catalogue(language: str) -> Catalogue:
    """The catalogue of a language in `LANGUAGES`."""
    text = resources.files("validation.catalogue").joinpath(f"{language}.json").read_text(encoding="utf-8")
    return Catalogue(language, json.loads(text))
