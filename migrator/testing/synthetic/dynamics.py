"""The tables of the Dynamics export, a chunk of records at a time: fields as they stand in data.xml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrator.testing.synthetic import values
from migrator.testing.synthetic.chance import Chance, as_text, chosen, joined
from migrator.testing.synthetic.keys import guids
from migrator.testing.synthetic.salesforce import Made
from migrator.testing.synthetic.spoil import Spoiler, rewritten_email, rewritten_name
from migrator.testing.synthetic.world import World, entity_names

_NOBODY = 50_000_000
INDUSTRY_CODES = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10")
_COLLECTIONS = (
    "[-1,100000000,-1]",
    "[-1,100000000,100000001,-1]",
    "[-1,100000002,100000003,100000004,-1]",
    None,
)


@dataclass(frozen=True, slots=True)
class Column:
    """A declared field: its type, its values, and for look-ups the entity (one, or one per row) and the name shown there."""

    type: str
    label: str
    values: pa.Array
    entity: pa.Array | str = ""
    entity_name: pa.Array | None = None
    lookup_type: str = ""
    nested: bool = False
    """True: the values are elements already (party lists)."""


@dataclass(slots=True)
class Table:
    """A chunk of a table: its fields, and what the truth has to know of it."""

    fields: dict[str, Column]
    made: Made


Maker = Callable[[World, np.ndarray], Table]


@dataclass(frozen=True, slots=True)
class Entity:
    """What the schema says of a table."""

    name: str
    label: str
    code: int
    key: str
    primary: str
    make: Maker
    count: Callable[[World], int]
    links: Mapping[str, str] = field(default_factory=dict)


def account(world: World, numbers: np.ndarray) -> Table:
    """Companies; numbers count on behind those of Salesforce."""
    ask, keys = world.chance.of("dyn account"), guids(world.chance, "account", numbers)
    records = numbers + world.salesforce.accounts
    seen, entities, copies = world.accounts_seen(records)
    spoil = Spoiler(ask, world.rates, keys, numbers)
    parents = world.parents("dyn account", world.dynamics.accounts)
    parent, circular = parents.of(numbers), parents.circles(numbers)
    code, decimals = values.currencies(ask, numbers)
    inactive = ask.happens("inactive", numbers, 0.08)
    name = rewritten_name(ask, numbers, copies, seen.name)
    fields = {
        "accountid": Column("guid", "Account", keys),
        "name": Column("string", "Account Name", spoil.required("name", spoil.length("name", name, 160))),
        "parentaccountid": _lookup(
            "Parent Account", "account",
            spoil.orphans("parentaccountid", _ids(world, "account", parent), _strangers(world, "account"), spare=circular),
        ),
        "telephone1": Column("string", "Main Phone", seen.phone),
        "websiteurl": Column("string", "Website", joined("https://", seen.domain)),
        "address1_line1": Column("string", "Street 1", ask.one_of("street", numbers, ["12 High Street", "人民路 8 号", "Jalan Raja 3"])),
        "address1_city": Column("string", "City", seen.place.city),
        "address1_country": Column("string", "Country/Region", seen.place.country),
        "industrycode": Column("optionsetvalue", "Industry", spoil.option("industrycode", ask.one_of("industry", numbers, list(INDUSTRY_CODES)))),
        "new_interests": Column("optionsetvaluecollection", "Interests", ask.one_of("interests", numbers, pa.array(_COLLECTIONS))),
        "revenue": Column("money", "Annual Revenue", values.amounts(ask, "revenue", numbers, decimals, 10**9)),
        "transactioncurrencyid": _lookup("Currency", "transactioncurrency", guids(world.chance, "currency", _code(code)), code),
        "numberofemployees": Column("number", "Employees", as_text(ask.below("employees", numbers, 20_000))),
        "donotemail": Column("bool", "Do not allow Emails", _flag(ask.happens("no mail", numbers, 0.1))),
        "description": Column("memo", "Description", values.notes(ask, numbers)),
        **_audit(world, ask, numbers, inactive),
    }  # fmt: skip
    nobody = np.zeros(len(numbers), bool)
    made = Made({}, keys, spoil.bad, nobody, circular, entity_names("C", entities), int(copies.sum()))
    return Table(fields, made)


def contact(world: World, numbers: np.ndarray) -> Table:
    """People, with the company or another person as their customer."""
    ask, keys = world.chance.of("dyn contact"), guids(world.chance, "contact", numbers)
    records = numbers + world.salesforce.contacts
    seen, entities, copies = world.contacts_seen(records)
    spoil = Spoiler(ask, world.rates, keys, numbers)
    employer = _ids(world, "account", world.employers(entities) % world.dynamics.accounts)
    person = ask.happens("person", numbers, 0.03) & (numbers > 0)
    customer = chosen(person, _ids(world, "contact", np.maximum(numbers - 1, 0)), employer)
    first, last = (rewritten_name(ask, numbers, copies, item) for item in (seen.first, seen.last))
    fields = {
        "contactid": Column("guid", "Contact", keys),
        "firstname": Column("string", "First Name", first),
        "lastname": Column("string", "Last Name", spoil.required("lastname", last)),
        "fullname": Column("string", "Full Name", joined(first, " ", last)),
        "parentcustomerid": Column(
            "customer", "Company Name",
            spoil.orphans("parentcustomerid", customer, _strangers(world, "account")),
            chosen(person, "contact", "account"), entity_names("Customer ", numbers), "account|contact",
        ),
        "emailaddress1": Column("string", "Email", rewritten_email(ask, numbers, copies, seen.email)),
        "mobilephone": Column("string", "Mobile Phone", seen.phone),
        "jobtitle": Column("string", "Job Title", spoil.length("jobtitle", seen.title, 100)),
        "birthdate": Column("datetime", "Birthday", spoil.date("birthdate", values.days(ask, "birth", numbers, "1950-01-01", 20_000))),
        "address1_city": Column("string", "City", seen.place.city),
        "address1_country": Column("string", "Country/Region", seen.place.country),
        "new_interests": Column("optionsetvaluecollection", "Interests", ask.one_of("interests", numbers, pa.array(_COLLECTIONS))),
        "donotemail": Column("bool", "Do not allow Emails", _flag(ask.happens("no mail", numbers, 0.1))),
        "description": Column("memo", "Description", values.notes(ask, numbers)),
        **_audit(world, ask, numbers, ask.happens("inactive", numbers, 0.05)),
    }  # fmt: skip
    nobody = np.zeros(len(numbers), bool)
    made = Made({}, keys, spoil.bad, nobody, None, entity_names("P", entities), int(copies.sum()))
    return Table(fields, made)


def opportunity(world: World, numbers: np.ndarray) -> Table:
    """Deals: open, won or lost."""
    ask, keys = world.chance.of("dyn opportunity"), guids(world.chance, "opportunity", numbers)
    spoil = Spoiler(ask, world.rates, keys, numbers)
    code, decimals = values.currencies(ask, numbers)
    customer = _ids(world, "account", ask.below("account", numbers, world.dynamics.accounts))
    fields = {
        "opportunityid": Column("guid", "Opportunity", keys),
        "name": Column("string", "Topic", joined(ask.one_of("deal", numbers, ["Renewal", "新项目", "Tender"]), " ", as_text(numbers))),
        "customerid": Column(
            "customer", "Potential Customer",
            spoil.orphans("customerid", customer, _strangers(world, "account")), "account",
            entity_names("Customer ", numbers), "account|contact",
        ),
        "estimatedvalue": Column("money", "Est. Revenue", values.amounts(ask, "value", numbers, decimals, 2_000_000)),
        "transactioncurrencyid": _lookup("Currency", "transactioncurrency", guids(world.chance, "currency", _code(code)), code),
        "estimatedclosedate": Column("datetime", "Est. Close Date", spoil.date("estimatedclosedate", values.days(ask, "close", numbers, "2019-01-01", 2500))),
        "closeprobability": Column("number", "Probability", as_text(ask.below("probability", numbers, 101))),
        "description": Column("memo", "Description", values.notes(ask, numbers)),
        **_audit(world, ask, numbers, ask.happens("closed", numbers, 0.4)),
    }  # fmt: skip
    return Table(fields, Made({}, keys, spoil.bad))


def phonecall(world: World, numbers: np.ndarray) -> Table:
    """Calls with party lists, about an account, a contact or an opportunity."""
    ask, keys = world.chance.of("dyn phonecall"), guids(world.chance, "phonecall", numbers)
    spoil = Spoiler(ask, world.rates, keys, numbers)
    sizes, kind = world.dynamics, ask.below("about", numbers, 4)
    about = chosen(kind == 0, _ids(world, "account", ask.below("account", numbers, sizes.accounts)), None)
    about = chosen(kind == 1, _ids(world, "contact", ask.below("contact", numbers, sizes.contacts)), about)
    about = chosen(
        kind == 2, _ids(world, "opportunity", ask.below("deal", numbers, sizes.opportunities)), about
    )
    entity = chosen(kind == 1, "contact", chosen(kind == 2, "opportunity", "account"))
    fields = {
        "activityid": Column("guid", "Phone Call", keys),
        "subject": Column("string", "Subject", ask.one_of("subject", numbers, ["Call back", "回电", "Panggilan", 'Said "yes" & left'])),
        "from": Column("partylist", "Call From", _parties(world, ask, numbers, "from", mask="1", most=1), nested=True),
        "to": Column("partylist", "Call To", _parties(world, ask, numbers, "to", mask="2", most=2), nested=True),
        "regardingobjectid": Column(
            "lookup", "Regarding",
            spoil.orphans("regardingobjectid", about, _strangers(world, "account")), entity,
            entity_names("Regarding ", numbers), "account|contact|opportunity",
        ),
        "scheduledend": Column("datetime", "Due", values.iso(values.instants(ask.of("due"), numbers)[0], ".0000000Z")),
        "directioncode": Column("bool", "Direction", _flag(ask.happens("outgoing", numbers, 0.7))),
        "description": Column("memo", "Description", values.notes(ask, numbers)),
        **_audit(world, ask, numbers, ask.happens("done", numbers, 0.6)),
    }  # fmt: skip
    return Table(fields, Made({}, keys, spoil.bad))


def systemuser(world: World, numbers: np.ndarray) -> Table:
    """Owners; one in six is disabled."""
    ask = world.chance.of("dyn user")
    keys = guids(world.chance, "systemuser", numbers)
    fields = {
        "systemuserid": Column("guid", "User", keys),
        "fullname": Column("string", "Full Name", joined(ask.one_of("first", numbers, ["Ann", "伟", "Siti"]), " Owner ", as_text(numbers))),
        "internalemailaddress": Column("string", "Primary Email", joined("user", as_text(numbers), "@old-crm.example")),
        "isdisabled": Column("bool", "Status", _flag(numbers % 6 == 5)),
    }  # fmt: skip
    return Table(fields, Made({}, keys))


def marketing_list(world: World, numbers: np.ndarray) -> Table:
    """Marketing lists, whose members are contacts."""
    ask = world.chance.of("dyn list")
    keys = guids(world.chance, "list", numbers)
    fields = {
        "listid": Column("guid", "Marketing List", keys),
        "listname": Column("string", "Name", joined(ask.one_of("list", numbers, ["Newsletter", "展会", "Pelanggan"]), " ", as_text(numbers))),
        "createdfromcode": Column("optionsetvalue", "Targeted At", pa.repeat("2", len(numbers))),
    }  # fmt: skip
    return Table(fields, Made({}, keys))


def members(world: World, number: int) -> pa.Array:
    """The contacts on a list."""
    ask = world.chance.of("members")
    size = min(30, world.dynamics.contacts)
    picked = np.unique(ask.below(str(number), np.arange(size), world.dynamics.contacts))
    return _ids(world, "contact", picked)


ENTITIES = (
    Entity("systemuser", "User", 8, "systemuserid", "fullname", systemuser, lambda world: world.dynamics.users),
    Entity("account", "Account", 1, "accountid", "name", account, lambda world: world.dynamics.accounts),
    Entity("contact", "Contact", 2, "contactid", "fullname", contact, lambda world: world.dynamics.contacts),
    Entity("opportunity", "Opportunity", 3, "opportunityid", "name", opportunity, lambda world: world.dynamics.opportunities),
    Entity("phonecall", "Phone Call", 4210, "activityid", "subject", phonecall, lambda world: world.dynamics.activities),
    Entity("list", "Marketing List", 4300, "listid", "listname", marketing_list, lambda world: world.dynamics.lists),
)  # fmt: skip


def _ids(world: World, table: str, numbers: np.ndarray) -> pa.Array:
    return chosen(numbers >= 0, guids(world.chance, table, np.maximum(numbers, 0)), None)


def _strangers(world: World, table: str) -> Callable[[np.ndarray], pa.Array]:
    return lambda numbers: guids(world.chance, table, numbers + _NOBODY)


def _lookup(label: str, entity: str, ids: pa.Array, names: pa.Array | None = None) -> Column:
    return Column("entityreference", label, ids, entity, names, entity)


def _code(codes: pa.Array) -> np.ndarray:
    index: np.ndarray = pc.index_in(codes, pa.array(values.CURRENCIES)).to_numpy(zero_copy_only=False)
    return index.astype(np.int64)


def _flag(mask: np.ndarray) -> pa.Array:
    return chosen(mask, "True", "False")


def _audit(world: World, ask: Chance, numbers: np.ndarray, inactive: np.ndarray) -> dict[str, Column]:
    created, modified = values.instants(ask, numbers)
    owner = ask.below("owner", numbers, world.dynamics.users)
    name = joined("Owner ", as_text(owner))
    return {
        "statecode": Column("state", "Status", chosen(inactive, "1", "0")),
        "statuscode": Column("status", "Status Reason", chosen(inactive, "2", "1")),
        "ownerid": Column(
            "owner", "Owner", _ids(world, "systemuser", owner), "systemuser", name, "systemuser|team"
        ),
        "createdon": Column("datetime", "Created On", _dates(world, ask, numbers, created)),
        "modifiedon": Column("datetime", "Modified On", _dates(world, ask, numbers, modified)),
    }


def _dates(world: World, ask: Chance, numbers: np.ndarray, seconds: np.ndarray) -> pa.Array:
    """Several dialects in one column, as real files have them."""
    kind = ask.share("dialect", numbers)
    text = chosen(kind < 0.8, values.iso(seconds, ".0000000Z"), values.iso(seconds, "Z"))
    text = chosen(kind >= 0.9, values.spaced(seconds), text)
    if world.rates.culture_dates:
        text = chosen(
            ask.happens("culture", numbers, world.rates.culture_dates), values.culture(seconds), text
        )
    return text


def _parties(world: World, ask: Chance, numbers: np.ndarray, what: str, *, mask: str, most: int) -> pa.Array:
    """One activitypointerrecords element per party."""
    count = 1 + ask.below(f"{what} parties", numbers, most)
    text: pa.Array = pa.repeat("", len(numbers))
    for place in range(most):
        person = ask.below(f"{what} {place}", numbers, world.dynamics.contacts)
        party = joined(
            '<activitypointerrecords id="',
            guids(world.chance, f"party {what} {place}", numbers),
            '"><field name="partyid" value="',
            guids(world.chance, "contact", person),
            '" lookupentity="contact" lookupentityname="',
            entity_names("Contact ", person),
            f'" /><field name="participationtypemask" value="{mask}" /></activitypointerrecords>',
        )
        text = chosen(place < count, joined(text, party), text)
    return text
