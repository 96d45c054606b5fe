"""Laws of survivorship: every input is accounted for, a group has one donor, the order of rows says nothing."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.core.mapped import DedupeRules, Survivorship
from migrator.staging.provenance import donated
from migrator.staging.store import Kind
from tests.dedupe_project import BY_EMAIL, contacts, open_project

VALUE = st.sampled_from([None, " ", "a", "b", "cc"])
ROW = st.fixed_dictionaries(
    {"email": st.sampled_from(["1@b.de", "2@b.de"]), "name": VALUE, "company": VALUE, "phone": VALUE}
)
ROWS = st.lists(ROW, min_size=1, max_size=8).map(
    lambda rows: [{"id": f"{'crm' if n % 2 else 'erp'}:{n}", **row} for n, row in enumerate(rows)]
)
RULES = st.builds(
    lambda default, name: DedupeRules(
        (BY_EMAIL,),
        {"name": name},
        default,
        groups={"place": ("company", "phone")},
        separators={"name": ";"},
    ),
    st.sampled_from([rule for rule in Survivorship if not rule.is_made]),
    st.sampled_from([rule for rule in Survivorship if rule is not Survivorship.CUSTOM]),
)


@settings(max_examples=3, deadline=None)
@given(ROWS, RULES, st.randoms(use_true_random=False))
def test_every_input_is_accounted_for_a_group_has_one_donor_and_order_says_nothing(
    rows: list[dict[str, Any]], rules: DedupeRules, rng: random.Random
) -> None:
    told = []
    for order in (rows, rng.sample(rows, len(rows))):
        with tempfile.TemporaryDirectory() as folder, open_project(Path(folder)) as project:
            made = project.run(contacts(rules), order)
            golden = sorted(project.rows(made.golden), key=lambda row: str(row["__id"]))
            donors = project.session.fetch(
                donated(project.session, project.store, contacts(rules))
            ).to_pylist()
            clusters = sorted(project.rows(made.clusters), key=lambda row: str(row["__id"]))
            kept = project.rows(project.store.need(Kind.DONORS, "contact", made_by="dedupe"))
            told.append((golden, sorted(map(str, donors)), clusters))
    assert told[0] == told[1]
    held = {row["id"]: row for row in rows}
    shared = Counter(row["email"] for row in rows)
    members = {one for row in kept for one in row["__members"]}
    assert members == {row["id"] for row in rows if shared[row["email"]] > 1}
    assert len(rows) == len(golden) + (len(members) - len(golden)) + (len(rows) - len(members))
    for row in golden:
        of = {item["field"]: item["donor"] for item in donors if item["survivor"] == row["__id"]}
        assert of.get("company") == of.get("phone")
        if "company" in of:
            assert (row["company"], row["phone"]) == tuple(
                held[of["company"]][name] for name in ("company", "phone")
            )
        if of.get("name"):
            assert row["name"].strip() == held[of["name"]]["name"].strip()
