"""The reserved column names of staged, mapped, planned and crosswalk datasets; user fields may not begin with '__'."""

from __future__ import annotations

import pyarrow as pa

RESERVED_PREFIX = "__"

# staged: the source's own columns and
ROW = "__row"
"""BIGINT, the record's ordinal in its object, from 0, over all parts."""
PLACE = "__place"
"""VARCHAR, where the record was read; null for live systems."""
COPY = "__copy"
"""INTEGER, 0 for the record itself, 1… for further records under the same source key (quarantined by the mapping)."""

# mapped, golden: the target's fields and
ID = "__id"
"""VARCHAR, 'SOURCE:KEY', unique in its mapping: SOURCE is the name of the source in the mapping, KEY the source's own key."""
SOURCE = "__source"
"""VARCHAR, name of the source in the mapping."""
KEY = "__key"
"""VARCHAR, the source's own key (canonical: Salesforce ids have 18 characters, GUIDs are lower case)."""
EXCLUDED = "__excluded"
"""VARCHAR, the declared reason why this record does not move, or null."""
ISSUES = "__issues"
"""LIST of STRUCT(field, rule, value, message, severity): what is wrong with this row; never null, often empty."""
BAD = "__bad"
"""BOOLEAN, true when any issue has severity 'error': the row is quarantined."""

# plan, outbound: the target's fields (references as __id of the survivor, then as target id) and
FINGERPRINT = "__fp"
"""VARCHAR, md5 of the row's mapped values: what was last written is compared by it."""
ACTION = "__action"
"""VARCHAR, one of migrator.staging.action.Action's values."""
REASON = "__reason"
"""VARCHAR, why a row waits (root cause), or null."""
BATCH = "__batch"
"""INTEGER, batch number from 0, or null when nothing is sent."""

KNOWN = "__known"
"""TIMESTAMPTZ, when the last outcome that the plan knows of came; a later outcome means that the row is done."""

ISSUES_TYPE = "STRUCT(field VARCHAR, rule VARCHAR, value VARCHAR, message VARCHAR, severity VARCHAR)[]"

CROSSWALK = pa.schema(
    [
        pa.field(ID, pa.string(), nullable=False),
        pa.field("target_key", pa.string()),
        pa.field("target_id", pa.string()),
        pa.field(FINGERPRINT, pa.string()),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("code", pa.string()),
        pa.field("field", pa.string()),
        pa.field("message", pa.string()),
        pa.field(BATCH, pa.int32()),
        pa.field("run", pa.string()),
        pa.field("at", pa.timestamp("us", tz="UTC")),
        pa.field("links", pa.string()),
    ]
)
"""The last outcome of each record that was ever sent; `target_id` is null while it was only ever refused.

`outcome` is 'created', 'updated', 'unchanged' or 'refused'. `__fp` is the fingerprint of what the outcome is about.
`target_key` is the external key the record has in the target. `links` is the md5 of what the second pass last set, or null.
"""

KNOWN_ROW = pa.struct([pa.field(item.name, item.type) for item in CROSSWALK])
"""A row of CROSSWALK as one value."""

CLUSTERS = pa.schema(
    [
        pa.field(ID, pa.string(), nullable=False),
        pa.field("survivor", pa.string(), nullable=False),
        pa.field("cluster", pa.string(), nullable=False),
        pa.field("rule", pa.string()),
        pa.field("evidence", pa.string()),
    ]
)
"""Members of clusters with more than one record, survivors included (`survivor` = `__id`).

`cluster` is stable over reruns; `rule` names what joined the member; `evidence` is the value that matched (personal: mask it).
"""

MEMBERS = "__members"
"""LIST of VARCHAR, in DONORS: the cluster's records, the survivor first."""
DISPUTED = "__disputed"
"""LIST of VARCHAR, in DONORS: the fields of which a member's value was given up for another."""

MERGED = pa.schema(
    [
        pa.field(ID, pa.string(), nullable=False),
        pa.field("survivor", pa.string(), nullable=False),
    ]
)
"""Every record that stands in the target through another one, also long after it is gone from the source."""

PAIRS = pa.schema(
    [
        pa.field("one", pa.string(), nullable=False),
        pa.field("other", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("evidence", pa.string()),
        pa.field("weight", pa.float64()),
        pa.field("probability", pa.float64()),
        pa.field("band", pa.string(), nullable=False),
        pa.field("parts", pa.string()),
    ]
)
"""Pairs of records that may be one; `one` < `other`, at most one row a pair and rule.

`rule` names an exact key, or is 'model'; `weight` is in bits (log2 of the odds), null for exact agreement; `band` is
'automatic' or 'review'; `parts` is JSON, what each field gave: `[{"field", "level", "bits"}, …]`, the prior first under
the field ''. `evidence` and the values themselves are personal: mask them.
"""

REJECTS = pa.schema(
    [
        pa.field(PLACE, pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
        pa.field("raw", pa.string(), nullable=False),
    ]
)
"""What could not be read as a record (see `migrator.core.connector.Reject`); kept beside the staged dataset."""
