"""What a mapping says of links to records that are no longer in use: when that is so, and which record stands in."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from migrator.mapping.model_base import Strict, problem


class Inactive(Strict):
    """When a linked record is no longer in use, and the record that takes its place."""

    when: Annotated[
        str, Field(min_length=1, description="SQL condition over the columns of the linked object.")
    ]
    use: Annotated[
        str,
        Field(
            min_length=1, description="Key, in the source, of the record that takes its place in the link."
        ),
    ]


def _keyed(value: object) -> object:
    if not isinstance(value, dict | Inactive):
        raise problem("inactive must hold keys", "write inactive: {when: not IsActive, use: KEY}")
    return value


StandIn = Annotated[Inactive, BeforeValidator(_keyed)]
