"""The objects of the Salesforce export, a chunk of records at a time: columns of text as they stand in the CSV files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrator.testing.synthetic import values
from migrator.testing.synthetic.chance import Chance, as_text, chosen, joined
from migrator.testing.synthetic.keys import salesforce_ids
from migrator.testing.synthetic.population import Parents, Population
from migrator.testing.synthetic.spoil import BadCell, Spoiler, rewritten_email, rewritten_name
from migrator.testing.synthetic.world import World, entity_names

INDUSTRIES = ("Agriculture", "Banking", "Construction", "Education", "Electronics", "Healthcare", "Manufacturing",
              "Retail", "Technology", "Transportation")  # fmt: skip
STAGES = (
    "Prospecting",
    "Qualification",
    "Proposal/Price Quote",
    "Negotiation/Review",
    "Closed Won",
    "Closed Lost",
)
_PROBABILITY = ("10", "20", "50", "80", "100", "0")
_NOBODY = 50_000_000
"""Numbers above this belong to no record: their ids are orphans."""


@dataclass(slots=True)
class Made:
    """A chunk of an object: its columns, and what the truth has to know of it."""

    columns: dict[str, pa.Array]
    keys: pa.Array
    bad: list[BadCell] = field(default_factory=list)
    deleted: np.ndarray | None = None
    circular: np.ndarray | None = None
    entities: pa.Array | None = None
    copies: int = 0


Maker = Callable[[World, np.ndarray], Made]


def account(world: World, numbers: np.ndarray) -> Made:
    """Companies; some are each other's parent."""
    ask, keys = world.chance.of("sf account"), salesforce_ids("Account", numbers)
    seen, entities, copies = world.accounts_seen(numbers)
    spoil = Spoiler(ask, world.rates, keys, numbers)
    code, decimals = values.currencies(ask, numbers)
    parent, circular = _parents(
        world.parents("sf account", world.salesforce.accounts), world.companies, numbers
    )
    name = rewritten_name(ask, numbers, copies, seen.name)
    deleted = world.companies.deleted(numbers)
    columns = {
        "Id": keys,
        "IsDeleted": _flag(deleted),
        "Name": spoil.required("Name", spoil.length("Name", name, 255)),
        "Type": ask.one_of("type", numbers, ["Customer", "Prospect", "Partner", "Supplier"]),
        "ParentId": spoil.orphans("ParentId", _ids("Account", parent), _strangers("Account"), spare=circular),
        "BillingStreet": _street(ask, numbers),
        "BillingCity": seen.place.city,
        "BillingCountry": seen.place.country,
        "Phone": seen.phone,
        "Website": _website(ask, numbers, seen.domain),
        "Industry": spoil.picklist("Industry", ask.one_of("industry", numbers, list(INDUSTRIES))),
        "AnnualRevenue": spoil.amount(
            "AnnualRevenue", values.amounts(ask, "revenue", numbers, decimals, 10**9)
        ),
        "CurrencyIsoCode": code,
        "NumberOfEmployees": as_text(ask.below("employees", numbers, 20_000)),
        "SLAExpirationDate__c": spoil.date(
            "SLAExpirationDate__c", values.days(ask, "sla", numbers, "2024-01-01", 1500)
        ),
        "Description": values.notes(ask, numbers),
        **_audit(world, ask, numbers),
    }
    return Made(columns, keys, spoil.bad, deleted, circular, entity_names("C", entities), int(copies.sum()))


def contact(world: World, numbers: np.ndarray) -> Made:
    """People, with 25 columns."""
    ask, keys = world.chance.of("sf contact"), salesforce_ids("Contact", numbers)
    seen, entities, copies = world.contacts_seen(numbers)
    spoil = Spoiler(ask, world.rates, keys, numbers)
    employer = world.employers(entities) % world.salesforce.accounts
    fired = world.companies.deleted(employer)
    employer[fired] = 0
    boss, circular = _parents(world.parents("sf contact", world.salesforce.contacts), world.people, numbers)
    last = rewritten_name(ask, numbers, copies, seen.last)
    deleted = world.people.deleted(numbers)
    columns = {
        "Id": keys,
        "IsDeleted": _flag(deleted),
        "AccountId": spoil.orphans("AccountId", _ids("Account", employer), _strangers("Account")),
        "LastName": spoil.required("LastName", last),
        "FirstName": rewritten_name(ask, numbers, copies, seen.first),
        "Salutation": ask.one_of("salutation", numbers, ["Mr.", "Ms.", "Dr.", "", "先生", "女士"]),
        "MailingStreet": _street(ask, numbers),
        "MailingCity": seen.place.city,
        "MailingCountry": seen.place.country,
        "MailingPostalCode": as_text(ask.below("post code", numbers, 10**6), 6),
        "Phone": seen.phone,
        "Email": rewritten_email(ask, numbers, copies, seen.email),
        "Title": spoil.length("Title", seen.title, 128),
        "Department": ask.one_of("department", numbers, ["Sales", "Finance", "IT", "采购部", "Jualan", ""]),
        "Birthdate": spoil.date("Birthdate", values.days(ask, "birth", numbers, "1950-01-01", 20_000)),
        "LeadSource": spoil.picklist(
            "LeadSource", ask.one_of("source", numbers, ["Web", "Trade Show", "Partner", "Other"])
        ),
        "ReportsToId": spoil.orphans(
            "ReportsToId", _ids("Contact", boss), _strangers("Contact"), spare=circular
        ),
        "HasOptedOutOfEmail": _flag(ask.happens("opted out", numbers, 0.1)),
        "DoNotCall": _flag(ask.happens("do not call", numbers, 0.05)),
        "Description": values.notes(ask, numbers),
        **_audit(world, ask, numbers),
    }
    return Made(columns, keys, spoil.bad, deleted, circular, entity_names("P", entities), int(copies.sum()))


def opportunity(world: World, numbers: np.ndarray) -> Made:
    """Deals in mixed currencies, open and closed."""
    ask, keys = world.chance.of("sf opportunity"), salesforce_ids("Opportunity", numbers)
    spoil = Spoiler(ask, world.rates, keys, numbers)
    code, decimals = values.currencies(ask, numbers)
    customer = world.companies.one_alive(ask, "account", numbers, world.salesforce.accounts)
    stage = ask.below("stage", numbers, len(STAGES))
    deleted = world.deals.deleted(numbers)
    columns = {
        "Id": keys,
        "IsDeleted": _flag(deleted),
        "AccountId": spoil.orphans("AccountId", _ids("Account", customer), _strangers("Account")),
        "Name": joined(
            ask.one_of("deal", numbers, ["Renewal", "New line", "扩容项目", "Pelan baharu"]),
            " #",
            as_text(numbers),
        ),
        "StageName": spoil.picklist("StageName", pa.array(STAGES).take(pa.array(stage))),
        "Amount": spoil.amount("Amount", values.amounts(ask, "amount", numbers, decimals, 2_000_000)),
        "CurrencyIsoCode": code,
        "CloseDate": spoil.date("CloseDate", values.days(ask, "close", numbers, "2019-01-01", 2500)),
        "Probability": pa.array(_PROBABILITY).take(pa.array(stage)),
        "IsClosed": _flag(stage >= 4),
        "IsWon": _flag(stage == 4),
        "NextStep": values.notes(ask.of("next"), numbers),
        **_audit(world, ask, numbers),
    }
    return Made(columns, keys, spoil.bad, deleted)


def task(world: World, numbers: np.ndarray) -> Made:
    """Activities whose WhoId is a person and whose WhatId an account, an opportunity or an order, if there are any."""
    ask, keys = world.chance.of("sf task"), salesforce_ids("Task", numbers)
    spoil = Spoiler(ask, world.rates, keys, numbers)
    sizes, kind = world.salesforce, ask.share("about", numbers)
    if not sizes.opportunities and not sizes.orders:
        kind = np.where(kind < 0.9, 0.0, 1.0)  # about an account, or about nothing
    who = _ids("Contact", world.people.one_alive(ask, "who", numbers, sizes.contacts))
    about = chosen(
        kind < 0.5, _ids("Account", world.companies.one_alive(ask, "account", numbers, sizes.accounts)), None
    )
    about = chosen(
        (kind >= 0.5) & (kind < 0.8),
        _ids("Opportunity", world.deals.one_alive(ask, "deal", numbers, sizes.opportunities)),
        about,
    )
    about = chosen(
        (kind >= 0.8) & (kind < 0.9),
        _ids("Order__c", ask.below("order", numbers, max(sizes.orders, 1))),
        about,
    )
    deleted = ask.happens("deleted", numbers, world.rates.deleted)
    columns = {
        "Id": keys,
        "IsDeleted": _flag(deleted),
        "WhoId": spoil.orphans(
            "WhoId", chosen(ask.happens("no who", numbers, 0.2), None, who), _strangers("Contact")
        ),
        "WhatId": spoil.orphans("WhatId", about, _strangers("Account")),
        "Subject": ask.one_of(
            "subject", numbers, ["Call", "Send quote", "回访", "Susulan", "Meeting: budget, scope"]
        ),
        "Status": spoil.picklist(
            "Status", ask.one_of("status", numbers, ["Not Started", "In Progress", "Completed"])
        ),
        "Priority": ask.one_of("priority", numbers, ["High", "Normal", "Low"]),
        "ActivityDate": spoil.date("ActivityDate", values.days(ask, "due", numbers, "2020-01-01", 2000)),
        "Description": values.notes(ask, numbers),
        **_audit(world, ask, numbers, spaced=True),
    }
    return Made(columns, keys, spoil.bad, deleted)


def user(world: World, numbers: np.ndarray) -> Made:
    """Owners; one in five has left. Users are never deleted in Salesforce, so the object has no IsDeleted."""
    del world
    ask = Chance(0, "sf user")
    keys = salesforce_ids("User", numbers)
    name = joined("user", as_text(numbers))
    created, modified = values.instants(ask, numbers)
    columns = {
        "Id": keys,
        "Username": joined(name, "@old-crm.example"),
        "LastName": joined("Owner ", as_text(numbers)),
        "FirstName": ask.one_of("first", numbers, ["Ann", "Bo", "伟", "Siti"]),
        "Email": joined(name, "@old-crm.example"),
        "IsActive": _flag((numbers % 5 != 4) | (numbers == 0)),
        "CreatedDate": values.iso(created, ".000Z"),
        "LastModifiedDate": values.iso(modified, ".000Z"),
    }
    return Made(columns, keys)


def order(world: World, numbers: np.ndarray) -> Made:
    """A custom object called by a reserved word, with columns called by more of them."""
    ask, keys = world.chance.of("sf order"), salesforce_ids("Order__c", numbers)
    spoil = Spoiler(ask, world.rates, keys, numbers)
    code, decimals = values.currencies(ask, numbers)
    customer = world.companies.one_alive(ask, "account", numbers, world.salesforce.accounts)
    deleted = np.zeros(len(numbers), bool)
    columns = {
        "Id": keys,
        "IsDeleted": _flag(deleted),
        "Name": joined("ORD-", as_text(numbers, 6)),
        "Account__c": spoil.orphans("Account__c", _ids("Account", customer), _strangers("Account")),
        "Select__c": ask.one_of("select", numbers, ["A;B", "A", "B;C;D", ""]),
        "From__c": values.days(ask, "from", numbers, "2021-01-01", 1200),
        "Group__c": ask.one_of("group", numbers, ["North", "South", "华东", "Timur"]),
        "X2nd_Visit__c": _flag(ask.happens("second", numbers, 0.4)),
        "Total__c": spoil.amount("Total__c", values.amounts(ask, "total", numbers, decimals, 50_000)),
        "CurrencyIsoCode": code,
        **_audit(world, ask, numbers),
    }
    return Made(columns, keys, spoil.bad, deleted)


def attachment(world: World, numbers: np.ndarray) -> Made:
    """The index of the binaries in Attachments/."""
    ask, keys = world.chance.of("sf attachment"), salesforce_ids("Attachment", numbers)
    owner = world.companies.one_alive(ask, "account", numbers, world.salesforce.accounts)
    columns = {
        "Id": keys,
        "IsDeleted": _flag(np.zeros(len(numbers), bool)),
        "ParentId": _ids("Account", owner),
        "Name": joined(
            ask.one_of("file", numbers, ["offer", "合同", 'scan "final"']), as_text(numbers), ".bin"
        ),
        "ContentType": ask.one_of("content", numbers, ["application/pdf", "image/png", "text/plain"]),
        "BodyLength": as_text(body_lengths(world, numbers)),
        **_audit(world, ask, numbers),
    }
    return Made(columns, keys)


def campaign(world: World, numbers: np.ndarray) -> Made:
    """An object nobody ever used: its file has a header only."""
    del world, numbers
    empty = pa.array([], pa.string())
    return Made(dict.fromkeys(("Id", "IsDeleted", "Name", "Type", "StartDate", "BudgetedCost"), empty), empty)


def body_lengths(world: World, numbers: np.ndarray) -> np.ndarray:
    """Bytes of each attachment."""
    return world.chance.of("sf attachment").below("length", numbers, 3000)


MAKERS: Mapping[str, Maker] = {
    "Account": account,
    "Contact": contact,
    "Opportunity": opportunity,
    "Task": task,
    "User": user,
    "Order__c": order,
    "Attachment": attachment,
    "Campaign": campaign,
}


def _ids(name: str, numbers: np.ndarray) -> pa.Array:
    """Ids of these records, null for numbers below 0."""
    return chosen(numbers >= 0, salesforce_ids(name, np.maximum(numbers, 0)), None)


def _parents(parents: Parents, population: Population, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The parent of each record, none that is deleted, and which records are in a circle of two."""
    parent = parents.of(numbers)
    gone = (parent >= 0) & population.deleted(np.maximum(parent, 0))
    circular = parents.circles(numbers) & ~gone & ~population.deleted(numbers)
    return np.where(gone, -1, parent), circular


def _strangers(name: str) -> Callable[[np.ndarray], pa.Array]:
    return lambda numbers: salesforce_ids(name, numbers + _NOBODY)


def _flag(mask: np.ndarray) -> pa.Array:
    return chosen(mask, "1", "0")


def _street(ask: Chance, numbers: np.ndarray) -> pa.Array:
    street = ask.one_of(
        "street", numbers, ["High Street", "Main St\nSuite 5", "人民路", "中山東路二段", "Jalan Ampang"]
    )
    return joined(as_text(ask.below("house", numbers, 400) + 1), " ", street)


def _website(ask: Chance, numbers: np.ndarray, domain: pa.Array) -> pa.Array:
    kind = ask.below("website", numbers, 4)
    text = joined("https://www.", domain, "/")
    text = chosen(kind == 0, joined("www.", domain), text)
    return chosen(kind == 1, joined("HTTP://", pc.ascii_upper(domain)), text)


def _audit(world: World, ask: Chance, numbers: np.ndarray, *, spaced: bool = False) -> dict[str, pa.Array]:
    created, modified = values.instants(ask, numbers)
    users = world.salesforce.users
    owner = _ids("User", ask.below("owner", numbers, users))
    write = values.spaced if spaced else (lambda seconds: values.iso(seconds, ".000Z"))
    return {
        "OwnerId": owner,
        "CreatedDate": write(created),
        "CreatedById": owner,
        "LastModifiedDate": write(modified),
        "LastModifiedById": _ids("User", ask.below("modifier", numbers, users)),
    }
