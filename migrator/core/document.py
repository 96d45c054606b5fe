"""YAML text with the place of every value kept, so that each problem can be told as file:line:column."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias, cast

import yaml

from migrator.core.errors import Location, ProjectError

TreePath: TypeAlias = tuple[str | int, ...]


class Document:
    """A parsed YAML file that can say where a value or a key stands.

    Loaded with the safe loader only; duplicate keys are an error because YAML would drop the first silently.
    """

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.text = text
        try:
            self._root = yaml.compose(text, Loader=yaml.SafeLoader)
            _refuse_duplicate_keys(self._root, file)
            self.data: object = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
            raise ProjectError.at(
                place,
                f"this is not valid YAML: {error.problem or error.context}",
                "check indentation, quotes and colons here",
            ) from error
        except (yaml.YAMLError, ValueError) as error:
            raise ProjectError.at(file, f"this is not valid YAML: {error}") from error

    @classmethod
    def read(cls, path: Path, *, shown_as: str | None = None) -> Document:
        """Read a UTF-8 YAML file; raises `ProjectError` with the place when it is missing or not YAML."""
        name = shown_as or str(path)
        try:
            return cls(path.read_text(encoding="utf-8-sig"), name)
        except FileNotFoundError as error:
            raise ProjectError.at(name, "no such file") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ProjectError.at(
                name, f"cannot read this file: {error}", "YAML files are UTF-8 text"
            ) from error

    def locate(self, path: TreePath) -> Location:
        """The place of the value at `path`, or of its nearest parent there is."""
        return self._place(path, key=False)

    def locate_key(self, path: TreePath) -> Location:
        """The place of the key that `path` ends in (for "unknown key" errors), or of its nearest parent."""
        return self._place(path, key=True)

    def _place(self, path: TreePath, *, key: bool) -> Location:
        node = self._root
        mark = node.start_mark if node is not None else None
        for position, part in enumerate(path):
            child = _child(node, part)
            if child is None:
                break
            key_node, node = child
            last = position == len(path) - 1
            mark = key_node.start_mark if key and last and key_node is not None else node.start_mark
        return Location(self.file, mark.line + 1, mark.column + 1) if mark else Location(self.file, 1, 1)


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node | None, yaml.Node] | None:
    match node, part:
        case yaml.MappingNode(value=pairs), _:
            return next(((key, value) for key, value in pairs if key.value == str(part)), None)
        case yaml.SequenceNode(value=items), int() if part < len(items):
            return None, cast("yaml.Node", items[part])
        case _:
            return None


def _refuse_duplicate_keys(node: yaml.Node | None, file: str) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen and key.value != "<<":
                place = Location(file, key.start_mark.line + 1, key.start_mark.column + 1)
                raise ProjectError.at(
                    place,
                    f"the key {key.value!r} stands here twice",
                    "remove one of them: YAML would keep only the last",
                )
            seen.add(key.value)
            _refuse_duplicate_keys(value, file)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicate_keys(item, file)


def did_you_mean(word: str, known: Iterable[str], *, noun: str = "") -> str:
    """A hint that names the nearest known word, or lists the known ones when there are few; may be empty."""
    choices = sorted(set(known))
    folded = {choice.casefold(): choice for choice in reversed(choices)}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    if near:
        return f"did you mean {folded[near[0]]!r}?"
    if not choices:
        return ""
    shown = ", ".join(choices[:12]) + (", …" if len(choices) > 12 else "")
    return f"known {noun or 'words'}: {shown}"
