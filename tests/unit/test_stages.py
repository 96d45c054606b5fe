"""Which objects make a stage, and what must be staged for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from migrator.commands.stages import closed_sets, cut, furthest, reading_order, stages
from migrator.core.mapped import First, Link
from migrator.mapping import Bound
from tests.load_world import mapped_object
from tests.mapping_kit import bind_texts, make_schema

SCHEMAS = {
    "old": [
        make_schema("User", Name="string"),
        make_schema("Account", Name="string", Owner="reference:User"),
        make_schema("Contact", Name="string", Account="reference:Account", Region="string"),
    ],
    "shop": [make_schema("Order", Number="string"), make_schema("Region", Name="string")],
}


def mapping(name: str, source: str, *fields: str) -> str:
    listed = "\n".join(f"  {field}" for field in ("legacy: {record_id: true}", *fields))
    return f"mapping: {name}\ntarget: {{system: new, object: {name}, key: legacy}}\nsource: {source}\nfields:\n{listed}\n"


USER = mapping("user", "{system: old, object: User}", "name: {from: Name}")
ACCOUNT = mapping("account", "{system: old, object: Account}", "owner: {from: Owner, lookup: user}")
CONTACT = mapping(
    "contact",
    "{system: old, object: Contact, join: {r: {system: shop, object: Region, on: {Region: Id}}}}",
    "account: {from: Account, lookup: account}",
    "region: {from: r.Name}",
)
ORDER = mapping("order", "{system: shop, object: Order}", "number: {from: Number}")


def bound(folder: Path, texts: Mapping[str, str]) -> Bound:
    return bind_texts({f"{name}.yaml": text for name, text in texts.items()}, SCHEMAS, folder)


def test_a_stage_needs_what_its_mappings_read_join_and_look_up(tmp_path: Path) -> None:
    found = stages(bound(tmp_path, {"user": USER, "account": ACCOUNT, "contact": CONTACT, "order": ORDER}))
    assert [sorted(item.objects) for item in found] == [
        ["order"], ["order", "user"], ["account", "order", "user"], ["account", "contact", "order", "user"],
    ]  # fmt: skip
    assert [sorted(item.staged) for item in found] == [
        ["shop/Order"],
        ["old/User", "shop/Order"],
        ["old/Account", "old/User", "shop/Order"],
        ["old/Account", "old/Contact", "old/User", "shop/Order", "shop/Region"],
    ]
    known = ["old/Account", "old/Contact", "old/User", "old/Spare", "shop/Order", "shop/Region"]
    assert reading_order(found, known) == (
        "shop/Order", "old/User", "old/Account", "old/Contact", "shop/Region", "old/Spare",
    )  # fmt: skip


def test_the_furthest_stage_is_the_last_of_which_all_is_staged(tmp_path: Path) -> None:
    found = stages(bound(tmp_path, {"user": USER, "account": ACCOUNT, "order": ORDER}))
    assert furthest(found, {"old/User", "old/Account"}) is None
    assert furthest(found, {"shop/Order", "old/Account"}) == found[0]
    assert furthest(found, {"shop/Order", "old/Account", "old/User"}) == found[-1]


def test_what_links_in_a_circle_is_one_stage_and_what_it_does_not_need_is_not_in_it() -> None:
    company = mapped_object("company", links=[Link("boss", ("person",), deferred=True)])
    person = mapped_object("person", links=[Link("company", ("company",))])
    alone = mapped_object("alone", links=[Link("parent", ("alone",), deferred=True)])
    assert closed_sets([company, person, alone]) == [{"alone"}, {"company", "person"}]


def test_mappings_into_one_target_object_are_one_stage() -> None:
    one, other = mapped_object("one", target="person"), mapped_object("other", target="person")
    assert closed_sets([one, mapped_object("x"), other]) == [{"x"}, {"one", "other"}]


def test_what_is_closed_at_the_end_waits_for_all_that_link_to_it() -> None:
    deal = replace(mapped_object("deal", "key name state"), firsts=(First("state", "open"),))
    task = mapped_object("task", links=[Link("deal", ("deal",))])
    user = mapped_object("user")
    assert closed_sets([user, deal, task]) == [{"user"}, {"deal", "task"}]
    assert closed_sets([user, mapped_object("deal"), task]) == [{"user"}, {"deal"}, {"deal", "task"}]


def test_groups_are_cut_in_their_order() -> None:
    a, b, c = (mapped_object(name) for name in "abc")
    assert cut([[a, b], [c]], {"b", "c"}) == ((b,), (c,))
    assert cut([[a, b], [c]], {"c"}) == ((c,),)
