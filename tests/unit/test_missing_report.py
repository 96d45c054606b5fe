"""What stands beside a missing record, and which findings are there only because records were lost."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.core.mapped import MappedObject
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from validation.consequences import follow_from_lost
from validation.naming import name_fields


def mapped(*fields: FieldSchema, target: str = "Deals") -> MappedObject:
    return MappedObject("deal", "crm", target, "key", ObjectSchema(target, "key", fields), ())


def text(name: str, label: str = "", pii: str = "") -> FieldSchema:
    return FieldSchema(name, FieldType.STRING, label=label, pii=pii)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ((text("title"), text("Name")), ["Name"]),
        ((text("title"), text("last_name"), text("first_name")), ["first_name", "last_name"]),
        ((text("dealname"),), ["dealname"]),
        ((text("f1", label="名称"), text("note")), ["f1"]),
        ((text("Subject"), text("number")), ["Subject"]),
        ((text("DealNumber"),), ["DealNumber"]),
        ((text("bank_name"), text("note")), []),
        ((FieldSchema("name", FieldType.REFERENCE),), []),
    ],
)
def test_a_record_is_called_by_its_field_that_is_a_name(
    fields: tuple[FieldSchema, ...], named: list[str]
) -> None:
    assert [item.name for item in name_fields(mapped(*fields))] == named


def test_a_persons_name_is_personal_whatever_the_mapping_says() -> None:
    assert all(item.pii for item in name_fields(mapped(text("LastName"), text("FirstName"))))
    assert all(item.pii for item in name_fields(mapped(text("x", label="姓名"))))
    assert not any(item.pii for item in name_fields(mapped(text("name"))))


def check(rule: str, subject: str, *, by: tuple[str, ...] = (), name: str = "deal") -> dict[str, Any]:
    return {
        "id": f"{name}/{rule}/{subject}", "object": name, "section": rule.partition(".")[0], "rule": rule,
        "subject": subject, "status": "fail", "failed": 1, "detail": {"by": list(by)},
    }  # fmt: skip


def thing(name: str, missing: int, *links: str) -> dict[str, Any]:
    fields = [{"name": "of", "link": {"to": list(links)}}] if links else []
    return {"name": name, "records": {"missing": missing}, "fields": fields}


def test_sums_and_counts_follow_from_lost_records_unless_something_else_explains_them() -> None:
    objects = [thing("deal", 2), thing("task", 0, "deal")]
    total = check("totals.by_group", "amount", by=("owner",))
    orphan = check("links.orphan", "of", name="task")
    own = check("counts.by_group", "stage", name="task")
    assert follow_from_lost([total, orphan, own], objects) == {total["id"], orphan["id"]}
    assert follow_from_lost([total, check("fields.rounding", "amount")], objects) == frozenset()
    assert follow_from_lost([total, check("links.wrong_link", "owner")], objects) == frozenset()
    assert follow_from_lost([total, check("records.doubled", "")], objects) == frozenset()
    assert follow_from_lost([total], [thing("deal", 0)]) == frozenset()
