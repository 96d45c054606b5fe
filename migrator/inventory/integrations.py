"""Integrations: who is on the other side, what each one moves, and the step that points it to the new system.

A missed integration stops the business at the switch, so whatever cannot be told stays 'unknown, ask' and is never dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from migrator.core.components import Call, ComponentKind, ComponentState
from migrator.inventory.evidence import INTEGRATIONS
from migrator.inventory.scan import Item
from migrator.inventory.words import LiteralKind

UNKNOWN = "unknown, ask"
_KINDS = (
    ("ERP", r"\berp\b|sap|oracle|netsuite|tibco|siebel|d365fo|finops|kingdee|yonyou|用友|金蝶|navision|dynamicsax|infor\b|jde"),
    ("call centre", r"\bcti\b|call_?cent|five9|genesys|avaya|twilio|telephony|ringcentral|呼叫"),
    ("e-signature", r"docusign|adobe_?sign|echosign|esign|e-sign|hellosign|fadada|法大大|上上签|signature"),
    ("OA", r"\boa\b|weaver|泛微|seeyon|致远|dingtalk|钉钉|feishu|lark\b|wecom|企业微信|approval_?gateway"),
    ("finance and invoicing", r"invoice|billing|stripe|paypal|zuora|quickbooks|xero|avalara|tax\b|finance|发票|开票"),
    ("mail and calendar", r"outlook|office365|exchange|gmail|calendar|smtp|sendgrid|mailgun|e-?mail"),
    ("marketing", r"marketo|pardot|mailchimp|hubspot|eloqua|marketing|campaign|survey|qualtrics"),
    ("data warehouse", r"snowflake|redshift|bigquery|warehouse|datalake|databricks|informatica|mulesoft|talend|\betl\b|powerbi|tableau"),
    ("identity", r"saml|\bsso\b|okta|\badfs\b|azuread|entra|auth0|oauth_?provider|single sign-on"),
)  # fmt: skip
_COMPILED = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _KINDS)
PARTNER_KINDS = (*(name for name, _ in _KINDS), "other", UNKNOWN)
DESIGNS = ("re-point", "rebuild", "replace", "retire")
_OUR_OWN = re.compile(
    r"(?:salesforce|force|dynamics|visualforce|lightning|crm\d*\.dynamics)\.com$", re.IGNORECASE
)
_KINDS_MOVED = (ComponentKind.FIELD, ComponentKind.OBJECT)
_STATE_OFF = (ComponentState.INACTIVE, ComponentState.DRAFT, ComponentState.SUPERSEDED)


@dataclass(frozen=True, slots=True)
class Integration:
    """One component through which something outside takes part."""

    item: Item
    calls: tuple[Call, ...]
    partner: str
    """Host or name of the other side; '' when nothing tells."""
    partner_kind: str
    direction: str
    protocol: str
    trigger: str
    endpoints: tuple[str, ...]
    credential: str
    moves: tuple[str, ...]
    """Ids of the fields and objects it mentions."""
    places: tuple[str, ...]
    holds_ids: bool
    """Ids of the old system are written in it."""

    @property
    def active(self) -> bool:
        """Whether it works today, as far as the export tells."""
        return self.item.component.state not in _STATE_OFF


def integrations(items: Iterable[Item]) -> tuple[Integration, ...]:
    """Everything with evidence of another system, sorted by id."""
    found = (
        _integration(item) for item in items if item.component.calls or item.component.kind in INTEGRATIONS
    )
    return tuple(sorted(found, key=lambda one: one.item.id))


def _integration(item: Item) -> Integration:
    part = item.component
    urls = [one.text for one in item.literals if one.kind is LiteralKind.URL]
    endpoints = tuple(dict.fromkeys([call.endpoint for call in part.calls if call.endpoint] + urls))
    credential = ", ".join(dict.fromkeys(call.credential for call in part.calls if call.credential))
    directions = {call.direction.value for call in part.calls} - {"unknown"} or {"unknown"}
    return Integration(
        item, part.calls, _partner(endpoints, credential), _kind(part.name, part.label, *endpoints, *part.facts.values()),
        next(iter(directions)) if len(directions) == 1 else "both",
        ", ".join(dict.fromkeys(call.protocol for call in part.calls if call.protocol)),
        ", ".join(dict.fromkeys(call.trigger for call in part.calls if call.trigger)),
        endpoints, credential,
        _moves(item),
        tuple(dict.fromkeys([call.place for call in part.calls if call.place] or [f"{part.file}:{part.line}"])),
        any(one.kind is LiteralKind.ID for one in item.literals),
    )  # fmt: skip


def _moves(item: Item) -> tuple[str, ...]:
    """What it mentions beyond doubt; only where nothing is, what it may mention."""
    moved = [one for one in item.uses if one.kind in _KINDS_MOVED]
    sure = tuple(one.id for one in moved if one.sure)
    return sure or tuple(one.id for one in moved)


def _partner(endpoints: Sequence[str], credential: str) -> str:
    """The host of the first address that is not the old system's own; else the credential's name, else any name."""
    hosts = [_host(text) for text in endpoints]
    named = (
        *(host for host in hosts if host and not _OUR_OWN.search(host)),
        credential.partition(",")[0],
        *endpoints,
    )
    return next((name for name in named if name), "")


def _host(text: str) -> str:
    try:
        return (urlsplit(text).hostname or "") if "://" in text else ""
    except ValueError:
        return ""


def _kind(*texts: str) -> str:
    """The partner's kind by what its names say; never guessed from nothing."""
    for text in texts:
        for name, pattern in _COMPILED:
            if text and pattern.search(text.replace("_", " ")):
                return name
    return UNKNOWN


def filled_by(found: Iterable[Integration]) -> Mapping[str, tuple[str, ...]]:
    """Field or object → integrations that mention it: a field filled only by one of them stands or falls with it."""
    held: dict[str, list[str]] = {}
    for one in found:
        for moved in one.moves:
            held.setdefault(moved, []).append(one.item.id)
    return {moved: tuple(ids) for moved, ids in held.items()}


def steps(found: Sequence[Integration], said: Mapping[str, Mapping[str, str]]) -> Iterator[dict[str, str]]:
    """A step of a runbook for each integration that works today: what is done, how it is checked, how it is taken back."""
    for number, one in enumerate((item for item in found if item.active), start=1):
        answers = said.get(one.item.id, {})
        partner = answers.get("partner") or one.partner or UNKNOWN
        design = answers.get("target_design", "")
        yield {
            "id": f"integration-{number:02d}",
            "title": f"{(design or 'decide and re-point').capitalize()}: {one.item.component.name} ({partner})",
            "integration": one.item.id,
            "owner": answers.get("owner", ""),
            "when": answers.get("switch_date", ""),
            "do": _do(one, design, partner),
            "verify": answers.get("acceptance")
            or f"send one record through it and find it on the other side; {_moved(one)}",
            "undo": f"point {partner} back to the old system ({', '.join(one.endpoints) or one.places[0]})",
        }


def _do(one: Integration, design: str, partner: str) -> str:
    ids = (
        " Give it the map of old to new record ids first: old ids are written in it." if one.holds_ids else ""
    )
    match design:
        case "retire":
            return f"Switch {one.item.component.name} off in the old system and tell {partner}."
        case "replace" | "rebuild":
            return f"Switch on what takes its place in the new system, then {one.item.component.name} off in the old one.{ids}"
        case "re-point":
            where = "its calls to the new system" if one.direction == "in" else "the new system's calls to it"
            return f"Point {partner}: {where}. Credential: {one.credential or UNKNOWN}.{ids}"
        case _:
            return f"Nobody has decided what becomes of {one.item.component.name}: decide before the switch.{ids}"


def _moved(one: Integration) -> str:
    return f"it moves {', '.join(one.moves[:6])}" if one.moves else "what it moves is not known"
