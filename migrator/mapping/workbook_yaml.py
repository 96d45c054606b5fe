"""Edits of a YAML text that touch only what changes: comments, order, quotes and layout of all else stay as written.

A round trip through a YAML dumper would set the whole file anew, and loses the comments behind a key that goes. Here
each change is a piece of text put in place of another, found by the marks of the parser.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

import yaml

from migrator.core.document import Document, TreePath
from migrator.core.errors import Location, ProjectError

Tree: TypeAlias = "str | list[Tree] | dict[str, Tree] | None"
"""YAML as `Document.texts` gives it."""

_PLAIN = re.compile(r"[^\W_](?:[\w./()+@%-]|[ ](?=[\w./(+@%-]))*")
_TYPED = frozenset({"required", "unique", "defer", "record_id", "length"})
"""Keys whose values are no texts: they stand without quotes."""
_NOTHING: Mapping[str, str] = MappingProxyType({})
_STRING = "tag:yaml.org,2002:str"
_RESOLVER = yaml.resolver.Resolver()


def quoted(text: str) -> str:
    """A text in double quotes, for YAML and JSON alike; what cannot be seen is escaped."""
    return "".join(
        char if char.isprintable() else _escape(char) for char in json.dumps(text, ensure_ascii=False)
    )


def _escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"


def scalar(text: str | None, key: str = "") -> str:
    """A scalar as a mapping file writes it: plain where every reader sees a text, else in double quotes."""
    if text is None:
        return "null"
    if key in _TYPED and re.fullmatch(r"\w+", text) and text.lower() != "null":
        return text
    plain = _PLAIN.fullmatch(text) and text.isprintable()
    if plain and _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)) == _STRING:  # type: ignore[no-untyped-call]
        return text
    return quoted(text)


def flow(tree: Tree, key: str = "") -> str:
    """Any value on one line."""
    match tree:
        case dict():
            return "{" + ", ".join(pair(name, item) for name, item in tree.items()) + "}"
        case list():
            return "[" + ", ".join(flow(item) for item in tree) + "]"
        case _:
            return scalar(tree, key)


def pair(key: str, value: Tree) -> str:
    """`key: value` on one line."""
    return f"{scalar(key)}: {flow(value, key)}"


class YamlText:
    """A YAML text under edit; edits are collected, and made all at once by `result`."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self._root = yaml.compose(text, Loader=yaml.SafeLoader)
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._edits: list[tuple[int, int, str]] = []
        self._shared = _shared(self._root)

    def result(self) -> str:
        """The text with all edits made."""
        pieces, done = [], 0
        for start, end, text in sorted(self._edits, key=_order):
            pieces += [self.text[done:start], text]
            done = end
        return "".join([*pieces, self.text[done:]])

    def comment(self, path: TreePath) -> str:
        """The comment at the end of the line of a field, without its sign; '' when there is none."""
        found = self._pair(path)
        if found is None:
            return ""
        start = self._comment_start(*found)
        match = re.match(r"[ \t]+#[ \t]?(.*)", self.text[start : self._line_end(start)])
        return match[1].strip() if match else ""

    def set_comment(self, path: TreePath, text: str) -> None:
        """Put a comment at the end of the line of a field, in place of the one there; '' takes it away."""
        found = self._pair(path)
        if found is None:
            raise self._refused(path)
        start = self._comment_start(*found)
        rest = self.text[start : self._line_end(start)].rstrip("\r\n")
        if rest.strip() and not rest.lstrip().startswith("#"):
            raise ProjectError.at(
                self._place(found[0]),
                "a comment has no room here: more follows on the line",
                "write the fields of this file each on a line of its own",
            )
        self._edits.append((start, start + len(rest), f"  # {text}" if text else ""))

    def change(
        self,
        path: TreePath,
        old: Mapping[str, Tree],
        new: Mapping[str, Tree],
        *,
        renamed: Mapping[str, str] = _NOTHING,
        comments: Mapping[str, str] = _NOTHING,
    ) -> None:
        """Make the mapping at `path`, which holds `old`, hold `new`.

        `renamed` tells old names of keys that live on as others, `comments` what is said of keys that are added. A
        mapping that is not there is added to its parent. Raises `ProjectError` where an anchor stands in the way.
        """
        node = self._node(path)
        if node is None and path:
            parent = self._node(path[:-1])
            if isinstance(parent, yaml.MappingNode) and parent.value:
                last = str(parent.value[-1][0].value)
                self._insert(parent, {str(path[-1]): dict(new)}, after=last, comments=comments)
                return
        if not isinstance(node, yaml.MappingNode):
            raise self._refused(path)
        self._merge(node, old, new, path, renamed=renamed, comments=comments)

    def _merge(
        self,
        node: yaml.MappingNode,
        old: Mapping[str, Tree],
        new: Mapping[str, Tree],
        path: TreePath,
        *,
        renamed: Mapping[str, str] = _NOTHING,
        comments: Mapping[str, str] = _NOTHING,
    ) -> None:
        pairs = {str(key.value): (key, value) for key, value in node.value}
        if id(node) in self._shared or set(old) - set(pairs):
            raise self._refused(path)
        kept = {renamed.get(name, name): name for name in pairs if renamed.get(name, name) in new}
        if not kept:
            self._replace_all(node, new, comments)
            return
        for name, before in kept.items():
            key, value = pairs[before]
            if name != before:
                self._edits.append((key.start_mark.index, key.end_mark.index, scalar(name)))
            self._change_value(key, value, old[before], new[name], (*path, before))
        self._remove(node, [name for name in pairs if name not in kept.values()])
        after: str | None = None
        added: dict[str, Tree] = {}
        for name, item in [*new.items(), ("", None)]:
            if name in kept or not name:
                if added:
                    self._insert(node, added, after=after, comments=comments)
                added, after = {}, kept.get(name)
            else:
                added[name] = item

    def _change_value(self, key: yaml.Node, value: yaml.Node, old: Tree, new: Tree, path: TreePath) -> None:
        if old == new and type(old) is type(new):
            return
        if id(value) in self._shared or value.start_mark.index < key.end_mark.index:
            raise self._refused(path)
        if isinstance(old, dict) and isinstance(new, dict) and isinstance(value, yaml.MappingNode) and old:
            self._merge(value, old, new, path)
            return
        colon = self.text.index(":", key.end_mark.index) + 1
        self._edits.append((colon, max(colon, self._end(value)), f" {flow(new, str(path[-1]))}"))

    def _replace_all(
        self, node: yaml.MappingNode, new: Mapping[str, Tree], comments: Mapping[str, str]
    ) -> None:
        if node.flow_style or not node.value:
            self._edits.append((node.start_mark.index, node.end_mark.index, flow(dict(new))))
            return
        start, end = self._line_start(node.start_mark.index), self._line_end(self._end(node))
        indent = " " * node.start_mark.column
        lines = self._lines(indent, new, comments) if new else f"{indent}{{}}{self._newline}"
        self._edits.append((start, end, lines))

    def _remove(self, node: yaml.MappingNode, names: list[str]) -> None:
        kept_before = False
        for position, (key, value) in enumerate(node.value):
            if str(key.value) not in names:
                kept_before = True
            elif not node.flow_style:
                start, end = self._line_start(key.start_mark.index), self._line_end(self._end(value))
                self._edits.append((start, end, ""))
            elif kept_before:
                self._edits.append((self._end(node.value[position - 1][1]), self._end(value), ""))
            else:
                following = node.value[position + 1][0].start_mark.index
                self._edits.append((key.start_mark.index, following, ""))

    def _insert(
        self,
        node: yaml.MappingNode,
        added: Mapping[str, Tree],
        *,
        after: str | None,
        comments: Mapping[str, str],
    ) -> None:
        pairs = {str(key.value): (key, value) for key, value in node.value}
        if node.flow_style:
            listed = ", ".join(pair(name, item) for name, item in added.items())
            if after is None:
                self._edits.append((node.start_mark.index + 1, node.start_mark.index + 1, f"{listed}, "))
            else:
                at = self._end(pairs[after][1])
                self._edits.append((at, at, f", {listed}"))
            return
        indent = " " * node.start_mark.column
        lines = self._lines(indent, added, comments)
        if after is None:
            at = self._line_start(node.value[0][0].start_mark.index)
        else:
            at = self._line_end(self._end(pairs[after][1]))
            if at and self.text[at - 1] != "\n":
                lines = self._newline + lines.removesuffix(self._newline)
        self._edits.append((at, at, lines))

    def _lines(self, indent: str, pairs: Mapping[str, Tree], comments: Mapping[str, str]) -> str:
        lines: list[str] = []
        for name, value in pairs.items():
            if name == "fields" and isinstance(value, dict) and value:
                lines.append(f"{indent}fields:")
                lines += [
                    f"{indent}  {pair(field, rule)}{_remark(comments.get(field, ''))}"
                    for field, rule in value.items()
                ]
            else:
                lines.append(f"{indent}{pair(name, value)}{_remark(comments.get(name, ''))}")
        return "".join(line + self._newline for line in lines)

    def _node(self, path: TreePath) -> yaml.Node | None:
        if not path:
            return self._root
        found = self._pair(path)
        return found[1] if found else None

    def _pair(self, path: TreePath) -> tuple[yaml.Node, yaml.Node] | None:
        node, found = self._root, None
        for part in path:
            if not isinstance(node, yaml.MappingNode):
                return None
            found = next(((key, value) for key, value in node.value if str(key.value) == part), None)
            if found is None:
                return None
            node = found[1]
        return found

    def _comment_start(self, key: yaml.Node, value: yaml.Node) -> int:
        if isinstance(value, yaml.CollectionNode) and not value.flow_style:
            return self.text.index(":", key.end_mark.index) + 1
        return self._end(value)

    def _end(self, node: yaml.Node) -> int:
        """Where a value ends; the parser's own mark of a block lies behind the comments that follow it."""
        if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            return self._end(last[1] if isinstance(last, tuple) else last)
        end = int(node.end_mark.index)
        if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            return len(self.text[:end].rstrip("\r\n "))
        return end

    def _line_start(self, index: int) -> int:
        return self.text.rfind("\n", 0, index) + 1

    def _line_end(self, index: int) -> int:
        found = self.text.find("\n", index)
        return len(self.text) if found < 0 else found + 1

    def _place(self, node: yaml.Node) -> Location:
        return Location(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def _refused(self, path: TreePath) -> ProjectError:
        place = Document(self.text, self.file).locate(path)
        return ProjectError.at(
            place,
            "this is written with an anchor (& * <<), and cannot be changed from outside",
            "write it out, or make this change in the YAML",
        )


def _order(edit: tuple[int, int, str]) -> tuple[int, int, int]:
    """By place; of lines that are added at one place the deepest come first, as they end the block above them."""
    start, end, text = edit
    line = text.lstrip("\r\n")
    return start, end, len(line.lstrip(" ")) - len(line)


def _remark(text: str) -> str:
    return f"  # {text}" if text else ""


def _shared(root: yaml.Node | None) -> frozenset[int]:
    """Nodes that stand in more than one place, and all below them."""
    seen: set[int] = set()
    marked: set[int] = set()
    stack = [(root, False)] if root is not None else []
    while stack:
        node, inside = stack.pop()
        again = inside or id(node) in seen
        seen.add(id(node))
        if again and id(node) in marked:
            continue
        if again:
            marked.add(id(node))
        if isinstance(node, yaml.CollectionNode):
            parts = (part for item in node.value for part in (item if isinstance(item, tuple) else (item,)))
            stack.extend((part, again) for part in parts)
    return frozenset(marked)
