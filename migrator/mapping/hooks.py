"""Hooks found and read, never run: the file of a hook, its function, and whether it takes what the mapping gives it."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator

from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem, ProjectError
from migrator.mapping.bound import Column, Constant, Hook, Input
from migrator.mapping.parse import FieldInput, ObjectMapping
from migrator.mapping.scope import Scope, SourceView
from migrator.mapping.values import resolve_inside

_OFF = "it runs Python that lies in this project; if you trust it, say so in migration.yaml: hooks: true"


def bind_hook(scope: Scope, mapping: ObjectMapping, view: SourceView, item: FieldInput) -> Input:
    """The hook that a field names, with the columns it reads; problems go to the scope, and nothing is imported."""
    name, place = item.rule.python or "", mapping.at(*item.path("python"))
    operands = tuple(_columns(scope, mapping, view, item))
    if scope.hooks and not item.rule.using:
        hint = "name the columns it takes, in order: using: [Industry, Employees]"
        scope.error(place, f"nothing says what {name} takes", hint)
        return Constant(None)
    if scope.hooks and len(operands) < len(item.rule.using):
        return Constant(None)
    return find_hook(scope, mapping, name, place, operands) or Constant(None)


def find_hook(
    scope: Scope, mapping: ObjectMapping, name: str, place: Location, operands: tuple[Column, ...]
) -> Hook | None:
    """The function that is named at `place` and takes these columns; None with a problem in the scope."""
    if not scope.hooks:
        scope.error(place, f"this project has hooks switched off, and {name} is one", _OFF)
        return None
    try:
        return _found(name, mapping, place, operands)
    except ProjectError as error:
        scope.problems.extend(error.problems)
        return None


def _columns(scope: Scope, mapping: ObjectMapping, view: SourceView, item: FieldInput) -> Iterator[Column]:
    for position, name in enumerate(item.rule.using):
        if name in view.columns:
            yield view.columns[name]
        else:
            hint = did_you_mean(name, view.columns, noun="columns")
            place = mapping.at(*item.path("using"), position)
            scope.error(place, f"{view.mapped.staged} has no column {name!r}", hint)


def _found(name: str, mapping: ObjectMapping, place: Location, operands: tuple[Column, ...]) -> Hook:
    module, _, function = name.rpartition(".")
    file = module.replace(".", "/") + ".py"
    path = resolve_inside(file, mapping.project, place)
    try:
        source = path.read_bytes()
    except OSError as error:
        words = f"{name}: cannot read {file}: {error.strerror}"
        raise ProjectError.at(place, words, "hooks.segment is the function segment in hooks.py") from error
    known = {node.name: node for node in _parsed(source, file).body if isinstance(node, ast.FunctionDef)}
    if function not in known:
        hint = did_you_mean(function, known, noun="functions")
        raise ProjectError.at(place, f"{file} has no function {function!r}", hint)
    found = known[function]
    at = Location(file, found.lineno, found.col_offset + 1)
    problem = _arity(found, len(operands), name, at)
    if problem is not None:
        raise ProjectError([problem])
    digest = hashlib.sha256(source).hexdigest()
    return Hook(name, path, source, digest, operands, at, place)


def _parsed(source: bytes, file: str) -> ast.Module:
    try:
        return ast.parse(source, file)
    except SyntaxError as error:
        place = Location(file, error.lineno or 1, error.offset or 1)
        raise ProjectError.at(place, f"this is not Python: {error.msg}") from error
    except ValueError as error:
        raise ProjectError.at(file, f"this is not Python: {error}") from error


def _arity(found: ast.FunctionDef, given: int, name: str, at: Location) -> Problem | None:
    takes = found.args
    most = len(takes.posonlyargs) + len(takes.args)
    least = most - len(takes.defaults)
    named = [
        item.arg for item, default in zip(takes.kwonlyargs, takes.kw_defaults, strict=True) if default is None
    ]
    if (least <= given <= most or (takes.vararg and given >= least)) and not named:
        return None
    hint = "one argument for each column, in their order"
    return Problem(at, f"{name} does not take the {given} columns that the mapping gives it", hint)
