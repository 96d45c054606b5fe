"""Load order: what is linked to comes first, circles are opened where a link may be empty, and never silently."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from migrator.core.errors import ProjectError
from migrator.core.mapped import Link, MappedObject
from migrator.core.schema import ObjectSchema
from migrator.mapping import order


def make(name: str, *links: Link) -> MappedObject:
    return MappedObject(name, "new", name, "id", ObjectSchema(name, "id", ()), (), links)


def names(groups: tuple[tuple[MappedObject, ...], ...]) -> list[list[str]]:
    return [[item.name for item in group] for group in groups]


def test_objects_without_links_between_them_share_a_group():
    contact = make("contact", Link("account", ("account",)), Link("owner", ("user",)))
    assert names(order([contact, make("user"), make("account")])) == [["account", "user"], ["contact"]]


def test_a_nullable_link_that_closes_a_circle_is_deferred_and_the_required_one_is_kept():
    account = make("account", Link("main_contact", ("contact",)))
    contact = make("contact", Link("account", ("account",), required=True))
    first, second = order([contact, account])
    assert (first[0].name, first[0].links[0].deferred) == ("account", True)
    assert (second[0].name, second[0].links[0].deferred) == ("contact", False)


def test_a_link_to_an_object_outside_the_project_is_no_dependency():
    assert names(order([make("a", Link("x", ("elsewhere",)))])) == [["a"]]


LINKS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans(), st.booleans()), max_size=14)


@given(edges=LINKS)
def test_every_link_points_back_or_is_deferred_and_required_links_are_never_deferred(
    edges: list[tuple[int, int, bool, bool]],
):
    objects = [
        make(f"o{number}", *(
            Link(f"l{index}", (f"o{there}",), required=required, deferred=wished and not required)
            for index, (here, there, required, wished) in enumerate(edges) if here == number
        ))
        for number in range(6)
    ]  # fmt: skip
    try:
        groups = order(objects)
    except ProjectError:
        assert has_circle({(here, there) for here, there, required, _ in edges if required})
        return
    level = {item.name: number for number, group in enumerate(groups) for item in group}
    assert sorted(level) == [f"o{number}" for number in range(6)]
    for group in groups:
        for item in group:
            for link in item.links:
                assert not (link.deferred and link.required)
                assert link.deferred or level[link.mappings[0]] < level[item.name]


def has_circle(edges: set[tuple[int, int]]) -> bool:
    left = set(range(6))
    while ready := {
        node for node in left if not any(here == node and there in left for here, there in edges)
    }:
        left -= ready
    return bool(left)
