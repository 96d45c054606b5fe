"""Which step of lead-to-cash a component serves, told from its object's name; a person may say otherwise."""

from __future__ import annotations

import re

from migrator.core.components import ComponentKind
from migrator.inventory.scan import Item

CAPABILITIES = (
    "market", "lead", "account", "opportunity", "quote", "contract", "order", "invoice", "service", "activity", "platform",
)  # fmt: skip
"""In the order of the way from lead to cash; `platform` is what serves all of them."""
_PATTERNS = (
    ("market", r"campaign|marketing|\blist\b|newsletter|event_?registration|市场|活动推广"),
    ("lead", r"lead|enquiry|inquiry|prospect|线索"),
    ("quote", r"quote|cpq|price_?book|pricebook|pricelevel|pricelist|product|discount|报价|产品|价格"),
    ("contract", r"contract|agreement|signature|合同"),
    ("order", r"order|delivery|shipment|fulfil|asset|订单|发货|交付"),
    ("invoice", r"invoice|payment|billing|receivable|receipt|revenue|dunning|发票|回款|付款|开票"),
    ("opportunity", r"opportunit|deal|pipeline|forecast|stage|competitor|商机|机会"),
    ("service", r"case|incident|ticket|entitlement|milestone|knowledge|solution__|service|sla|工单|服务"),
    ("activity", r"task|event|activity|appointment|phonecall|email|letter|visit|任务|日程|拜访"),
    ("account", r"account|contact|customer|company|partner|person|address|客户|联系人|伙伴"),
)
_COMPILED = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _PATTERNS)
_EVERYWHERE = frozenset({ComponentKind.PERMISSION, ComponentKind.TRANSLATION, ComponentKind.OTHER})


def capability(item: Item) -> str:
    """One of `CAPABILITIES`: by the object, then the name; what belongs to no step is platform."""
    part = item.component
    objects = [part.owner] if part.owner else [event.partition("/")[0] for event in part.fires]
    if not objects and part.kind in _EVERYWHERE:
        return "platform"
    for text in (*objects, part.name.rpartition(".")[2] if part.owner else part.name):
        for name, pattern in _COMPILED:
            if text and pattern.search(text):
                return name
    return "platform"
