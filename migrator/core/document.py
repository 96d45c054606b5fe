"""YAML text with the place of every value kept, so that each problem can be told as file:line:column."""

from __future__ import annotations

import contextlib
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
            self._root = _composed(text, file)
            _check_nodes(self._root, file, 1, {})
            self.data: object = _construct(self._root)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
            hint = _TAB if _is_tab(text, place) else "check indentation, quotes and colons here"
            raise ProjectError.at(
                place, f"this is not valid YAML: {error.problem or error.context}", hint
            ) from error
        except yaml.reader.ReaderError as error:
            before = text.encode(errors="replace")[: error.position]  # the loader counts bytes
            raise ProjectError.at(
                Location(file, before.count(b"\n") + 1),
                f"this is not valid YAML: {error.reason}",
                "remove that character, or write it as an escape in double quotes",
            ) from error
        except (yaml.YAMLError, ValueError) as error:
            raise ProjectError.at(
                file, f"this is not valid YAML: {error}", "check dates and numbers"
            ) from error

    @classmethod
    def read(cls, path: Path, *, shown_as: str | None = None) -> Document:
        """Read a UTF-8 YAML file; raises `ProjectError` with the place when it is missing or not YAML."""
        name = shown_as or str(path)
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise ProjectError.at(name, "no such file", "check its name, or where a link leads") from error
        except OSError as error:
            raise ProjectError.at(
                name, f"cannot read this file: {error.strerror}", "it must be a file that you may read"
            ) from error
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            place = Location(name, content.count(b"\n", 0, error.start) + 1)
            raise ProjectError.at(
                place, f"byte 0x{content[error.start]:02X} is not UTF-8", "save the file as UTF-8"
            ) from error
        return cls(text.replace("\r\n", "\n").replace("\r", "\n"), name)

    def texts(self) -> object:
        """The data once more, every scalar as the text it is written in: `NO` stays 'NO' and `01` stays '01'.

        Only a plain null (`null`, `~` or nothing at all) is None. For files whose own model says what is a number.
        """
        return _texts(self._root, {})

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


_TAB = "a tab stands here: indent with spaces"


def _is_tab(text: str, place: Location) -> bool:
    lines = text.splitlines()
    return 0 < place.line <= len(lines) and lines[place.line - 1][: place.column].endswith("\t")


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader; written in C where PyYAML was built so, which is ten times faster."""


_DEEPEST = 100
"""Levels of lists and mappings, aliases followed. Ours, since every release of the parser has another limit or none."""
_MERGE = "tag:yaml.org,2002:merge"


def _composed(text: str, file: str) -> yaml.Node | None:
    """The nodes of the text; one too deep for the parser is told as that, in whatever way the parser gave up."""
    try:
        return yaml.compose(text, Loader=_LOADER)
    except (yaml.MarkedYAMLError, RecursionError):
        _refuse_deep(text, file)
        raise


def _refuse_deep(text: str, file: str) -> None:
    """Raise `ProjectError` at the first list or mapping too deep. The scanner in Python has no limit of its own."""
    depth = 0
    with contextlib.suppress(yaml.YAMLError):
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > _DEEPEST:
                    mark = event.start_mark
                    raise _too_deep(
                        Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
                    )
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1


def _too_deep(place: Location) -> ProjectError:
    return ProjectError.at(
        place,
        f"lists and mappings stand more than {_DEEPEST} deep inside one another",
        "no file of ours needs that",
    )


def _construct(root: yaml.Node | None) -> object:
    """What `yaml.safe_load` should return, from the nodes already there; merge keys are laid out in them."""
    return _Constructor().construct_document(root) if root is not None else None


class _Constructor(yaml.constructor.SafeConstructor):
    """PyYAML's, with the merge key as its specification has it (https://yaml.org/type/merge.html).

    A mapping's own keys win over merged ones, and of `<<: [*a, *b]` the earlier mapping wins: PyYAML 6.0.4 lets the
    later one win, 6.0.3 the earlier. A project must not mean something else after an upgrade of its parser.
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        own = [(key, value) for key, value in node.value if key.tag != _MERGE]
        for key, _ in own:
            if key.tag == "tag:yaml.org,2002:value":  # a bare `=` is the text, as in PyYAML
                key.tag = "tag:yaml.org,2002:str"
        if len(own) == len(node.value):
            return
        names = {_name(key) for key, _ in own}
        merged: dict[object, tuple[yaml.Node, yaml.Node]] = {}
        for source in (
            source for key, value in node.value if key.tag == _MERGE for source in _sources(value)
        ):
            self.flatten_mapping(source)
            for key, value in source.value:
                if _name(key) not in names:
                    merged.setdefault(_name(key), (key, value))
        node.value = [*merged.values(), *own]


def _sources(node: yaml.Node) -> list[yaml.MappingNode]:
    """The mappings that a merge key names, the one that wins first; raises `ConstructorError` where it names another thing."""
    sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
    for source in sources:
        if not isinstance(source, yaml.MappingNode):
            raise yaml.constructor.ConstructorError(
                None, None, "<< takes a mapping, or a list of mappings", source.start_mark
            )
    return cast("list[yaml.MappingNode]", sources)


def _name(key: yaml.Node) -> object:
    return (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key)


def _texts(node: yaml.Node | None, seen: dict[int, object]) -> object:
    if node is None:
        return None
    if id(node) in seen:
        return seen[id(node)]
    found: object
    match node:
        case yaml.MappingNode(value=pairs):
            found = {str(key.value): _texts(value, seen) for key, value in pairs}
        case yaml.SequenceNode(value=items):
            found = [_texts(item, seen) for item in items]
        case yaml.ScalarNode(tag="tag:yaml.org,2002:null"):
            found = None
        case _:
            found = str(node.value)
    seen[id(node)] = found
    return found


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node | None, yaml.Node] | None:
    match node, part:
        case yaml.MappingNode(value=pairs), _:
            return next(((key, value) for key, value in reversed(pairs) if key.value == str(part)), None)
        case yaml.SequenceNode(value=items), int() if part < len(items):
            return None, cast("yaml.Node", items[part])
        case _:
            return None


def _check_nodes(node: yaml.Node | None, file: str, depth: int, heights: dict[int, int | None]) -> int:
    """Refuse keys that stand twice in one mapping, anchors that contain themselves, and what is too deep.

    Each node is looked at once. Returns the levels of lists and mappings in it; `depth` counts those around it, and itself.
    """
    if not isinstance(node, yaml.CollectionNode):
        return 0
    if id(node) not in heights:
        if depth > _DEEPEST:
            raise _too_deep(_place_of(node, file))
        heights[id(node)] = None
        if isinstance(node, yaml.MappingNode):
            _refuse_duplicate_keys(node, file)
        children = (child for item in node.value for child in (item if isinstance(item, tuple) else (item,)))
        heights[id(node)] = 1 + max(
            (_check_nodes(child, file, depth + 1, heights) for child in children), default=0
        )
    height = heights[id(node)]
    if height is None:
        raise ProjectError.at(_place_of(node, file), "this anchor contains itself", "write it out instead")
    if depth + height - 1 > _DEEPEST:
        raise _too_deep(_place_of(node, file))
    return height


def _refuse_duplicate_keys(node: yaml.MappingNode, file: str) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if str(key.value) in seen:
            raise ProjectError.at(
                _place_of(key, file),
                f"the key {key.value!r} stands here twice",
                "write one, with a list: <<: [*first, *second]"
                if key.tag == _MERGE
                else "remove one of them: YAML would keep only the last",
            )
        seen.add(str(key.value))


def _place_of(node: yaml.Node, file: str) -> Location:
    return Location(file, node.start_mark.line + 1, node.start_mark.column + 1)


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
