"""Labels by language: read strictly, known to later steps, shown in the report's own language."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.core.errors import ProjectError
from migrator.core.mapped import MappedObject
from tests.mapping_kit import bind_texts, make_schema

DEAL = make_schema("Deal", Stage="picklist", Name="string")


def mapped(tmp_path: Path, *lines: str) -> MappedObject:
    listed = "".join(f"  {line}\n" for line in lines)
    text = (
        "mapping: deal\ntarget: {system: new, object: deal, key: id}\nsource: {system: crm, object: Deal}\n"
        f"fields:\n  id: {{from: Id}}\n{listed}"
    )
    return bind_texts({"deal.yaml": text}, {"crm": [DEAL]}, tmp_path).mappings[0].mapped


def test_a_label_is_one_text_or_one_a_language(tmp_path: Path):
    found = mapped(
        tmp_path,
        "stage: {from: Stage, label: {zh_CN: 阶段, en: Stage of it}}",
        "name: {from: Name, label: Called}",
    )
    assert [item.label for item in found.fields] == ["", "Stage of it", "Called"]
    assert [found.label("stage", language) for language in ("en", "zh_CN", "ms")] == [
        "Stage of it", "阶段", "Stage of it",
    ]  # fmt: skip
    assert [found.label(name, "zh_TW") for name in ("name", "id", "nobody")] == ["Called", "", ""]


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("{de: Stufe}", "deal.yaml:6:31: unknown language 'de'"),
        ("{en: }", "deal.yaml:6:31: the label in en is no text"),
        ("{}", "deal.yaml:6:31: this is no label"),
        ("[a]", "deal.yaml:6:31: this is no label"),
    ],
)
def test_what_is_no_label_is_told(tmp_path: Path, label: str, told: str):
    with pytest.raises(ProjectError) as caught:
        mapped(tmp_path, f"stage: {{from: Stage, label: {label}}}")
    assert [str(item).splitlines()[0] for item in caught.value.problems] == [told]
