"""The Fxiaoke sandbox: its OpenAPI over local records, with the vendor's limits, both sign-ins, a recycle bin and pools."""

from __future__ import annotations

from connectors.sandbox.fxiaoke.app import SWITCHES, make_app
from connectors.sandbox.fxiaoke.manners import LIMITS
from connectors.sandbox.serve import sandbox

SANDBOX = sandbox(
    "fxiaoke",
    "Fxiaoke 纷享销客: create, update, query, describe, owners, pools, recycle bin; 100 calls in 20 seconds a path",
    make_app,
    limits=LIMITS,
    switches=SWITCHES,
)
