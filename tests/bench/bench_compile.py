"""How long binding and compiling many wide mappings takes: `python -m tests.bench.bench_compile [MAPPINGS] [FIELDS]`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from migrator.core.document import Document
from migrator.core.schema import ObjectSchema
from migrator.mapping import bind, compile_mapping, parse_mapping
from tests.mapping_kit import make_schema

_RULES = (
    "{{from: {column}, clean: [trim, collapse], length: 80}}",
    "{{from: {column}, type: 'decimal(18,2)', required: true}}",
    "{{expr: \"coalesce({column}, 'none')\", type: text}}",
    "{{from: {column}, type: datetime, zone: Asia/Shanghai, format: '%d.%m.%Y'}}",
    "{{from: {column}, values: {{a: b, c: d}}, unmapped: keep}}",
    "{{from: {column}, lookup: m0, missing: null}}",
)
"""The kinds of fields of a wide mapping, in turn."""


def project(mappings: int, fields: int) -> tuple[list[Document], dict[str, dict[str, ObjectSchema]]]:
    """The YAML files and the schemas of their sources."""
    files, objects = [], {}
    for number in range(mappings):
        columns = [f"Column {position}" for position in range(fields)]
        objects[f"O{number}"] = make_schema(f"O{number}", **dict.fromkeys(columns, "string"))
        rules = (
            f"  f{position}: "
            + _RULES[position % len(_RULES)].format(
                column=f'\\"{column}\\"' if position % len(_RULES) == 2 else column
            )
            for position, column in enumerate(columns)
        )
        head = (
            f"mapping: m{number}\ntarget: {{system: new, object: o{number}, key: key}}\n"
            f"source: {{system: old, object: O{number}}}\nfields:\n"
        )
        files.append(Document(head + "\n".join(rules) + "\n", f"m{number}.yaml"))
    return files, {"old": objects}


def seconds(mappings: int, fields: int) -> dict[str, float]:
    """CPU seconds of each step."""
    files, systems = project(mappings, fields)
    started = time.process_time()
    parsed = [parse_mapping(file, Path()) for file in files]
    read = time.process_time()
    bound = bind(parsed, systems)
    tied = time.process_time()
    for mapping in bound.mappings:
        compile_mapping(mapping)
    compiled = time.process_time()
    return {"parse": read - started, "bind": tied - read, "compile": compiled - tied}


def main() -> None:
    """Print the seconds of each step for 60 mappings of 300 fields, or as many as the command line says."""
    mappings, fields = (int(word) for word in [*sys.argv[1:], *("60", "300")[len(sys.argv) - 1 :]])
    taken = seconds(mappings, fields)
    steps = ", ".join(f"{name} {value:.2f} s" for name, value in taken.items())
    compiled = taken["bind"] + taken["compile"]
    print(
        f"{mappings} mappings of {fields} fields: {steps}; bind and compile {compiled:.2f} s, all {sum(taken.values()):.2f} s"
    )


if __name__ == "__main__":
    main()
