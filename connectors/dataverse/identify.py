"""Which environment answers, as whom, and whether real users work there.

Sources: WhoAmI; RetrieveCurrentOrganization with its OrganizationType (documentation of the enumeration).
"""

from __future__ import annotations

from connectors.dataverse.faults import fatal
from connectors.dataverse.odata import guid
from connectors.dataverse.service import Service, shaped
from migrator.core.connector import Identity
from migrator.core.errors import FatalError, RetryableError

_PRODUCTION = frozenset({"Customer", "Default", "Secondary", "Teams"})
_REHEARSAL = frozenset(
    {"CustomerTest", "CustomerFreeTest", "CustomerPreview", "Developer", "Trial", "EmailTrial", "TestDrive"}
)
_NUMBERS = {0: "Customer", 4: "Secondary", 5: "CustomerTest", 6: "CustomerFreeTest", 7: "CustomerPreview",
            9: "TestDrive", 11: "EmailTrial", 12: "Default", 13: "Developer", 14: "Trial", 15: "Teams"}  # fmt: skip


def identify(service: Service) -> Identity:
    """Who answers; the first request proves address and credentials."""
    who, answer = service.one("WhoAmI")
    with shaped(answer, "who asks"):
        user, organisation = guid(who["UserId"]), guid(who["OrganizationId"])
    if user is None or organisation is None:
        raise answer.unexpected("who asks")
    named, kind = _organisation(service)
    production = True if kind in _PRODUCTION else False if kind in _REHEARSAL else None
    return Identity(
        "Dataverse", service.label, f"{named} ({organisation})" if named else organisation, user, production
    )


def _organisation(service: Service) -> tuple[str, str]:
    """Name and kind of the organisation; '' for what the service does not say."""
    asked = "RetrieveCurrentOrganization(AccessType=Microsoft.Dynamics.CRM.EndpointAccessType'Default')"
    answer = service.ask("GET", asked)
    if answer.status in {400, 403, 404}:
        return "", ""
    if answer.status != 200:
        raise fatal(answer)
    try:
        detail = answer.object().get("Detail") or {}
        kind = detail.get("OrganizationType")
        return str(detail.get("FriendlyName") or ""), _NUMBERS.get(kind, "") if isinstance(
            kind, int
        ) else str(kind or "")
    except (AttributeError, FatalError, RetryableError):
        return "", ""
