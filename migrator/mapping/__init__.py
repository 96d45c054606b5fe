"""From YAML to a bound, ordered mapping and its one SELECT per object.

::

    mappings = load(folder, project)             # strict: every problem of every file at once
    bound = bind(mappings, sources, targets)     # names, types and links resolved; bound.warnings, bound.groups
    compiled = compile_mapping(bound.mapping("contact"))
    dataset = map_object(store, session, compiled)
"""

from __future__ import annotations

from migrator.mapping.bind import bind
from migrator.mapping.bound import Bound, BoundMapping
from migrator.mapping.compile import CompiledMapping, compile_mapping
from migrator.mapping.files import load
from migrator.mapping.model import json_schema
from migrator.mapping.order import order
from migrator.mapping.parse import ObjectMapping, parse_mapping
from migrator.mapping.run import map_object
from migrator.mapping.scaffold import mapping_names, write_mapping
from migrator.mapping.sql import readable

__all__ = [
    "Bound",
    "BoundMapping",
    "CompiledMapping",
    "ObjectMapping",
    "bind",
    "compile_mapping",
    "json_schema",
    "load",
    "map_object",
    "mapping_names",
    "order",
    "parse_mapping",
    "readable",
    "write_mapping",
]
