"""The settings of text files, checked and turned into the words the readers speak; all mistakes are told at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.files.csv_stream import ZeroBytes
from connectors.files.dialect import DELIMITERS, DialectSettings
from connectors.files.encoding import Undecodable, codec_name
from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem, ProjectError

PLACE = "migration.yaml"

TEXT_SETTINGS = {
    "encoding": "encoding of the text: utf-8, gb18030, big5, cp932, euc-kr, cp1252, … ; default: found out, and shown",
    "undecodable": "a byte that is not in the encoding: 'error' stops (default), 'quarantine' refuses only its row",
    "zero_bytes": "a row that holds a zero byte: 'reject' refuses it (default), 'keep' reads it",
}


@dataclass(frozen=True, slots=True)
class TextSettings:
    """How text is decoded; `encoding` is a codec, None to find it out."""

    encoding: str | None = None
    undecodable: Undecodable = Undecodable.ERROR
    zero_bytes: ZeroBytes = ZeroBytes.REJECT


@dataclass(frozen=True, slots=True)
class FileForm:
    """How a text file is written, as far as it was said."""

    text: TextSettings
    dialect: DialectSettings


@dataclass(frozen=True, slots=True)
class FilesSettings:
    """All settings of a source of files."""

    path: str
    form: FileForm
    objects: Mapping[str, tuple[str, ...]]
    files: Mapping[str, FileForm]
    """Glob → how the files it fits are written; the first that fits is taken."""
    keys: Mapping[str, str]
    """Object → the column that is its key, '' for none."""


class Checker:
    """Takes settings one by one and gathers what is wrong with them."""

    def __init__(self, settings: Mapping[str, Any], known: Mapping[str, str]) -> None:
        self._settings = settings
        self._known = known
        self.problems = [
            Problem(
                Location(PLACE), f"unknown setting {name!r}", did_you_mean(str(name), known, noun="settings")
            )
            for name in settings
            if name not in known
        ]

    def wrong(self, message: str, hint: str = "") -> None:
        """One more thing that is wrong."""
        self.problems.append(Problem(Location(PLACE), message, hint))

    def finish(self) -> None:
        """Raise `ProjectError` with all that was wrong."""
        if self.problems:
            raise ProjectError(self.problems)

    def text(self, name: str) -> str | None:
        """A setting that is text, None when it is not set."""
        value = self._settings.get(name)
        if value is None or isinstance(value, str):
            return value
        self.wrong(f"`{name}` must be text, not {value!r}", self._known[name])
        return None

    def path(self) -> str:
        """The setting every source of files needs."""
        found = self.text("path")
        if not found and self._settings.get("path") in (None, ""):
            self.wrong("`path` is missing", "name a file, a folder, a glob or a zip")
        return found or ""

    def choice(self, name: str, choices: Mapping[str, Any]) -> Any:
        """One of the named choices, the first when it is not set."""
        value = self._settings.get(name)
        if value is None:
            return next(iter(choices.values()))
        if str(value) in choices:
            return choices[str(value)]
        self.wrong(f"`{name}` cannot be {value!r}", did_you_mean(str(value), choices, noun="choices"))
        return next(iter(choices.values()))

    def text_settings(self) -> TextSettings:
        """Those of `TEXT_SETTINGS`."""
        declared = self.text("encoding")
        encoding = None
        if declared:
            try:
                encoding = codec_name(declared, PLACE)
            except ProjectError as error:
                self.problems += error.problems
        return TextSettings(
            encoding,
            self.choice("undecodable", {item.value: item for item in Undecodable}),
            self.choice("zero_bytes", {item.value: item for item in ZeroBytes}),
        )

    def dialect_settings(self) -> DialectSettings:
        """Delimiter, quote and header line."""
        names = {name: char for char, name in DELIMITERS.items()}
        delimiter = self._character("delimiter", {**names, "\\t": "\t"})
        quote = self._character("quote", {"none": "", "double": '"', "single": "'"})
        if delimiter is not None and delimiter == quote:
            self.wrong("`delimiter` and `quote` are the same character")
        header = self._settings.get("header")
        if header is not None and not isinstance(header, bool):
            self.wrong(f"`header` must be true or false, not {header!r}")
            header = None
        return DialectSettings(delimiter, quote, header)

    def _character(self, name: str, words: Mapping[str, str]) -> str | None:
        value = self.text(name)
        if value is None:
            return None
        found = words.get(value, value)
        if (
            len(found) > 1
            or not found.isascii()
            or found in ("\r", "\n", "\0")
            or (not found and value not in words)
        ):
            self.wrong(
                f"`{name}` must be one ASCII character, not {value!r}", f"or one of: {', '.join(words)}"
            )
            return None
        return found

    def form(self) -> FileForm:
        """Encoding and dialect."""
        return FileForm(self.text_settings(), self.dialect_settings())

    def files(self) -> dict[str, FileForm]:
        """Glob → how such files are written, where it is not as the others are."""
        value = self._settings.get("files") or {}
        if not isinstance(value, Mapping) or not all(isinstance(item, Mapping) for item in value.values()):
            self.wrong(
                "`files` must name globs, each with settings", "files: {'old*.csv': {encoding: cp1252}}"
            )
            return {}
        found = {}
        for glob, settings in value.items():
            check = Checker({**self._common(), **settings}, FORM_SETTINGS)
            found[str(glob)] = check.form()
            self.problems += check.problems
        return found

    def _common(self) -> dict[str, Any]:
        return {name: value for name, value in self._settings.items() if name in FORM_SETTINGS}

    def keys(self) -> dict[str, str]:
        """Object → its key column, '' for none."""
        value = self._settings.get("keys") or {}
        if isinstance(value, Mapping) and all(isinstance(item, str | None) for item in value.values()):
            return {str(name): column or "" for name, column in value.items()}
        self.wrong(
            "`keys` must name objects, each with a column or ''", "keys: {Account: AccountNo, Log: ''}"
        )
        return {}

    def objects(self) -> dict[str, tuple[str, ...]]:
        """Object name → globs of its files."""
        value = self._settings.get("objects") or {}
        if not isinstance(value, Mapping):
            self.wrong(
                "`objects` must name objects, each with a glob or a list of globs",
                "objects: {Account: 'acc*.csv'}",
            )
            return {}
        found: dict[str, tuple[str, ...]] = {}
        for name, globs in value.items():
            patterns = [globs] if isinstance(globs, str) else globs
            if isinstance(patterns, list) and patterns and all(isinstance(item, str) for item in patterns):
                found[str(name)] = tuple(patterns)
            else:
                self.wrong(f"`objects.{name}` must be a glob or a list of globs, not {globs!r}")
        return found


FORM_SETTINGS = {
    **TEXT_SETTINGS,
    "delimiter": "what parts the fields: comma, semicolon, tab, pipe or one character; default: found out",
    "quote": "what quotes a field: double, single, none or one character; default: found out",
    "header": "true: the first row names the columns; false: they are column_1, column_2, …; default: found out",
}

FILES_SETTINGS = {
    "path": "a file, a folder, a glob, or a zip: CSV, TSV, Excel (.xlsx), JSON, JSON Lines, Parquet",
    **FORM_SETTINGS,
    "files": "glob → settings of the files it fits, where they are written another way: {'old*.csv': {encoding: cp1252}}",
    "keys": "object name → its key column, '' when it has none (a record is then known by its row); default: by its name",
    "objects": "object name → glob or list of globs of its files; default: every file name is an object",
}


def files_settings(settings: Mapping[str, Any]) -> FilesSettings:
    """Checked settings; raises `ProjectError` with all mistakes."""
    check = Checker(settings, FILES_SETTINGS)
    found = FilesSettings(check.path(), check.form(), check.objects(), check.files(), check.keys())
    check.finish()
    return found
