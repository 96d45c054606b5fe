"""The small company's CRM as a Configuration Migration zip of Dynamics 365: sales, service, marketing and activities."""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import pyarrow as pa

from migrator.testing.synthetic import values
from migrator.testing.synthetic.chance import Chance, as_text, chosen, joined
from migrator.testing.synthetic.dynamics import Column, Table
from migrator.testing.synthetic.keys import guids
from migrator.testing.synthetic.legacy import (
    CURRENCIES,
    LOST,
    NOBODY,
    STAGES,
    WON,
    Legacy,
    LegacyTruth,
    Numbers,
    one_of,
    put,
    refer,
)
from migrator.testing.synthetic.migration_zip import CONTENT_TYPES, declared, write_records
from migrator.testing.synthetic.salesforce import Made
from migrator.testing.synthetic.weekly import fixed

Fields = Mapping[str, Column]
_KINDS = {
    "systemuser": "user", "account": "account", "contact": "contact", "lead": "lead", "product": "product",
    "opportunity": "opportunity", "opportunityproduct": "line", "incident": "case", "campaign": "campaign",
    "campaignresponse": "member", "task": "task", "phonecall": "call", "appointment": "event", "annotation": "note",
}  # fmt: skip
"""Table → kind of record of the company."""
_KEYS = {
    "task": "activityid",
    "phonecall": "activityid",
    "appointment": "activityid",
    "campaignresponse": "activityid",
}


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the columns of one table."""

    legacy: Legacy
    table: str

    @property
    def kind(self) -> str:
        return _KINDS[self.table]

    @property
    def numbers(self) -> Numbers:
        return self.legacy.numbers(self.kind)

    def text(self, name: str, column: pa.Array, type_: str = "string") -> Column:
        return Column(type_, name, column)

    def pick(self, name: str, codes: list[str], type_: str = "optionsetvalue") -> Column:
        return Column(type_, name, self.legacy.text(self.kind, name, codes))

    def flag(self, name: str, mask: Numbers) -> Column:
        return Column("bool", name, chosen(mask, "True", "False"))

    def link(
        self, name: str, table: str, *, share: float = 1.0, orphan: int = -1, type_: str = "lookup"
    ) -> Column:
        keys = _refer(self.legacy, self.kind, name, table, share)
        if orphan >= 0:
            keys = put(keys, orphan, _ids(table, np.array([NOBODY]))[0].as_py())
        return Column(type_, name, keys, table, joined(f"{table} ", as_text(self.numbers)), table)

    def regarding(self, name: str = "regardingobjectid") -> Column:
        """A look-up to one of four tables."""
        which = self.legacy.index(self.kind, "about", 4)
        keys: pa.Array = pa.nulls(len(which), pa.string())
        entity: pa.Array = pa.array(["account"] * len(which))
        for place, table in enumerate(("account", "contact", "opportunity", "incident")):
            keys = chosen(which == place, _refer(self.legacy, self.kind, f"{name} {table}", table, 1.0), keys)
            entity = chosen(which == place, table, entity)
        everything = "account|contact|opportunity|incident"
        return Column("lookup", name, keys, entity, joined("about ", as_text(self.numbers)), everything)

    def currency(self) -> Fields:
        code = self.legacy.money(self.kind)[0]
        index = self.legacy.index(self.kind, "currency", len(CURRENCIES))
        keys = guids(Chance(7), "currency", index)
        return {
            "transactioncurrencyid": Column(
                "lookup", "Currency", keys, "transactioncurrency", code, "transactioncurrency"
            )
        }

    def audit(self, state: pa.Array | str = "0", status: pa.Array | str = "1") -> Fields:
        created, modified = self.legacy.instants(self.kind)
        every = [
            pa.array([item] * len(created)) if isinstance(item, str) else item for item in (state, status)
        ]
        owner = self.link("ownerid", "systemuser", type_="owner")
        return {
            "statecode": Column("state", "Status", every[0]),
            "statuscode": Column("status", "Status Reason", every[1]),
            "ownerid": Column(
                "owner", "Owner", owner.values, "systemuser", owner.entity_name, "systemuser|team"
            ),
            "createdby": self.link("createdby", "systemuser"),
            "createdon": Column("datetime", "Created On", values.iso(created, ".0000000Z")),
            "modifiedon": Column("datetime", "Modified On", values.iso(modified, ".0000000Z")),
        }


def write(folder: Path, legacy: Legacy) -> LegacyTruth:
    """Write FOLDER/dynamics/export.zip."""
    path = folder / "dynamics" / "export.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    truth = LegacyTruth(path)
    tables = _tables(legacy)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(fixed("[Content_Types].xml"), CONTENT_TYPES.encode())
        archive.writestr(fixed("data_schema.xml"), _schema(tables).encode())
        with archive.open(fixed("data.xml"), "w") as stream:
            stream.write(b'<entities timestamp="2026-01-18T03:15:00.0000000Z">\n')
            for name, fields in tables.items():
                stream.write(f'  <entity name="{name}" displayname="{name}">\n    <records>\n'.encode())
                write_records(stream, Table(dict(fields), Made({}, fields[_key(name)].values)))
                stream.write(b"    </records>\n    <m2mrelationships />\n  </entity>\n")
                truth.records[name] = len(fields[_key(name)].values)
            stream.write(b"</entities>\n")
    _tell(tables, truth)
    return truth


def _schema(tables: Mapping[str, Fields]) -> str:
    lines = ['<entities dateMode="absolute">']
    for name, fields in tables.items():
        key = _key(name)
        lines.append(
            f'  <entity name="{name}" displayname={quoteattr(name)} etc="1" primaryidfield="{key}" '
            'primarynamefield="" disableplugins="false">\n    <fields>'
        )
        lines.extend(declared(key, item, column) for item, column in fields.items())
        lines.append("    </fields>\n  </entity>")
    return "\n".join([*lines, "</entities>\n"])


def _tell(tables: Mapping[str, Fields], truth: LegacyTruth) -> None:
    for name, number, what in (
        ("account", 0, "missing"), ("contact", 0, "missing"), ("contact", 1, "orphan"), ("lead", 0, "unmapped"),
        ("opportunity", 0, "unmapped"), ("opportunity", 2, "date"), ("opportunityproduct", 0, "orphan"),
        ("incident", 0, "unmapped"), ("campaignresponse", 0, "orphan"),
    ):  # fmt: skip
        truth.faults[name, tables[name][_key(name)].values[number].as_py()] = what
    for name, column, target in (
        ("contact", "parentcustomerid", "account"), ("opportunity", "customerid", "account"),
        ("opportunityproduct", "opportunityid", "opportunity"), ("incident", "primarycontactid", "contact"),
        ("campaignresponse", "regardingobjectid", "campaign"),
    ):  # fmt: skip
        keys, linked = (tables[name][item].values.to_pylist() for item in (_key(name), column))
        spoiled = {key for item, key in truth.faults if item == name}
        truth.links[name, column] = {
            key: (target, to)
            for key, to in zip(keys, linked, strict=True)
            if to is not None and key not in spoiled
        }


def _tables(legacy: Legacy) -> dict[str, Fields]:
    makers = {
        "systemuser": _user, "account": _account, "contact": _contact, "lead": _lead, "product": _product,
        "opportunity": _opportunity, "opportunityproduct": _line, "incident": _incident, "campaign": _campaign,
        "campaignresponse": _response, "task": _task, "phonecall": _call, "appointment": _appointment,
        "annotation": _annotation,
    }  # fmt: skip
    found: dict[str, Fields] = {}
    for name, make in makers.items():
        maker = _Maker(legacy, name)
        key = Column("guid", name, _ids(name, maker.numbers))
        found[name] = {_key(name): key, **make(legacy, maker)}
    return found


def _user(legacy: Legacy, make: _Maker) -> Fields:
    person = legacy.people("user", NOBODY)
    manager = refer(legacy.earlier("user", "manager", 0.5), lambda numbers: _ids("systemuser", numbers))
    return {
        "fullname": make.text("Full Name", joined(person["first"], " ", person["last"])),
        "internalemailaddress": make.text("Email", joined("user", as_text(make.numbers), "@legacy.example")),
        "mobilephone": make.text("Mobile", person["phone"]),
        "title": make.text("Title", person["title"]),
        "employeeid": make.text("Employee", joined("E", as_text(make.numbers, 4))),
        "parentsystemuserid": Column("lookup", "Manager", manager, "systemuser", lookup_type="systemuser"),
        "isdisabled": make.flag("Status", make.numbers % 4 == 3),
    }


def _account(legacy: Legacy, make: _Maker) -> Fields:
    found = legacy.companies("account")
    parent = refer(legacy.earlier("account", "parent", 0.3), lambda numbers: _ids("account", numbers))
    inactive = legacy.index("account", "inactive", 8) == 0
    return {
        "name": make.text("Account Name", put(found["name"], 0, None)),
        "accountnumber": make.text("Number", joined("A-", as_text(make.numbers, 5))),
        "parentaccountid": Column("lookup", "Parent", parent, "account", lookup_type="account"),
        "telephone1": make.text("Phone", found["phone"]),
        "fax": make.text("Fax", pa.nulls(len(make.numbers), pa.string())),
        "emailaddress1": make.text("Email", joined("info@", found["domain"])),
        "websiteurl": make.text("Website", joined("https://www.", found["domain"])),
        "address1_line1": make.text("Street", legacy.streets("account")),
        "address1_city": make.text("City", found["city"]),
        "address1_stateorprovince": make.text("State", pa.nulls(len(make.numbers), pa.string())),
        "address1_postalcode": make.text(
            "Post Code", as_text(legacy.index("account", "post code", 10**6), 6)
        ),
        "address1_country": make.text("Country", found["country"]),
        "industrycode": make.pick("Industry", ["1", "6", "16", "22"]),
        "customertypecode": make.pick("Relationship Type", ["3", "8", "10", "12"]),
        "revenue": make.text("Revenue", legacy.amounts("account", "revenue"), "money"),
        **make.currency(),
        "numberofemployees": make.text(
            "Employees", as_text(legacy.index("account", "employees", 9000)), "number"
        ),
        "donotemail": make.flag("No Email", legacy.index("account", "no mail", 10) == 0),
        "description": make.text("Description", legacy.notes("account"), "memo"),
        **make.audit(chosen(inactive, "1", "0"), chosen(inactive, "2", "1")),
    }


def _person(legacy: Legacy, make: _Maker, spare: int) -> dict[str, Column]:
    """What contacts and leads have in common."""
    person = legacy.people(make.kind, spare)
    nothing = pa.nulls(len(make.numbers), pa.string())
    spoiled = 0 if make.kind == "contact" else -1
    return {
        "firstname": make.text("First Name", put(person["first"], spoiled, None)),
        "lastname": make.text("Last Name", put(person["last"], spoiled, None)),
        "fullname": make.text("Full Name", put(joined(person["first"], " ", person["last"]), spoiled, None)),
        "salutation": make.text("Salutation", legacy.text(make.kind, "salutation", ["Mr.", "Ms.", ""])),
        "jobtitle": make.text("Job Title", person["title"]),
        "emailaddress1": make.text("Email", person["email"]),
        "telephone1": make.text("Phone", nothing),
        "mobilephone": make.text("Mobile", person["phone"]),
        "address1_line1": make.text("Street", legacy.streets(make.kind)),
        "address1_city": make.text("City", person["city"]),
        "address1_stateorprovince": make.text("State", nothing),
        "address1_postalcode": make.text("Post Code", nothing),
        "address1_country": make.text("Country", person["country"]),
        "donotemail": make.flag("No Email", legacy.index(make.kind, "no mail", 10) == 0),
        "description": make.text("Description", legacy.notes(make.kind), "memo"),
    }


def _contact(legacy: Legacy, make: _Maker) -> Fields:
    customer = make.link("parentcustomerid", "account", orphan=1)
    return {
        **_person(legacy, make, 0),
        "parentcustomerid": Column(
            "customer", "Company", customer.values, "account", customer.entity_name, "account|contact"
        ),
        "department": make.text("Department", legacy.text("contact", "department", ["Sales", "采购部", ""])),
        "birthdate": make.text("Birthday", legacy.days("contact", "birth", "1970-01-01"), "datetime"),
        "donotphone": make.flag("No Calls", legacy.index("contact", "no call", 10) == 0),
        **make.audit(),
    }


def _lead(legacy: Legacy, make: _Maker) -> Fields:
    company = legacy.companies("lead", NOBODY // 3)
    state = legacy.index("lead", "state", 3)
    return {
        **_person(legacy, make, NOBODY // 3),
        "subject": make.text("Topic", legacy.text("lead", "subject", ["Pumps", "询价"])),
        "companyname": make.text("Company", company["name"]),
        "websiteurl": make.text("Website", joined("www.", company["domain"])),
        "leadsourcecode": make.pick("Lead Source", ["1", "5", "7", "8"]),
        "leadqualitycode": make.pick("Rating", ["1", "2", "3"]),
        "industrycode": make.pick("Industry", ["1", "6", "16", "22"]),
        "revenue": make.text("Revenue", legacy.amounts("lead", "revenue"), "money"),
        **make.currency(),
        "numberofemployees": make.text(
            "Employees", as_text(legacy.index("lead", "employees", 900)), "number"
        ),
        "parentaccountid": make.link("parentaccountid", "account", share=0.3),
        "parentcontactid": make.link("parentcontactid", "contact", share=0.3),
        "qualifyingopportunityid": make.link("qualifyingopportunityid", "opportunity", share=0.2),
        "campaignid": make.link("campaignid", "campaign", share=0.4),
        **make.audit(put(one_of(("0", "1", "2"), state), 0, "9"), one_of(("1", "3", "4"), state)),
    }


def _product(legacy: Legacy, make: _Maker) -> Fields:
    return {
        "name": make.text("Name", joined(legacy.text("product", "name", ["Pump", "阀门"]), " ", as_text(make.numbers))),
        "productnumber": make.text("Product ID", joined("P-", as_text(make.numbers, 4))),
        "price": make.text("List Price", joined(as_text(make.numbers + 10), ".5000000000"), "money"),
        **make.currency(),
        "description": make.text("Description", legacy.notes("product"), "memo"),
        **{name: column for name, column in make.audit().items() if name != "ownerid"},
    }  # fmt: skip


def _opportunity(legacy: Legacy, make: _Maker) -> Fields:
    stage = legacy.index("opportunity", "stage", STAGES)
    customer = make.link("customerid", "account")
    closed = chosen(stage >= WON, legacy.days("opportunity", "closed"), None)
    state, status = one_of(("0", "0", "0", "1", "2"), stage), one_of(("1", "1", "2", "3", "4"), stage)
    title = joined(legacy.text("opportunity", "deal", ["Renewal", "扩容项目"]), " #", as_text(make.numbers))
    return {
        "name": make.text("Topic", title),
        "customerid": Column(
            "customer", "Customer", customer.values, "account", customer.entity_name, "account|contact"
        ),
        "parentcontactid": make.link("parentcontactid", "contact", share=0.7),
        "estimatedvalue": make.text("Est. Revenue", legacy.amounts("opportunity", "amount"), "money"),
        "actualvalue": make.text(
            "Actual Revenue", chosen(stage == WON, legacy.amounts("opportunity", "won"), None), "money"
        ),
        "estimatedclosedate": make.text(
            "Est. Close", put(legacy.days("opportunity", "close"), 2, "2024-02-30"), "datetime"
        ),
        "actualclosedate": make.text("Close", closed, "datetime"),
        "closeprobability": make.text(
            "Probability", as_text(legacy.index("opportunity", "probability", 101)), "number"
        ),
        "salesstage": Column(
            "optionsetvalue", "Stage", put(one_of(("0", "1", "2", "3", "3"), stage), 0, "777")
        ),
        "campaignid": make.link("campaignid", "campaign", share=0.4),
        "originatingleadid": make.link("originatingleadid", "lead", share=0.2),
        **make.currency(),
        "description": make.text("Description", legacy.notes("opportunity"), "memo"),
        **make.audit(state, chosen(stage == LOST, "5", status)),
    }


def _line(legacy: Legacy, make: _Maker) -> Fields:
    quantity, price = legacy.index("line", "quantity", 20) + 1, legacy.index("line", "price", 900) + 1
    return {
        "opportunityid": make.link("opportunityid", "opportunity", orphan=0),
        "productid": make.link("productid", "product", share=0.8),
        "productdescription": make.text(
            "Write-In Product", legacy.text("line", "written in", ["Transport", "运费"])
        ),
        "quantity": make.text("Quantity", joined(as_text(quantity), ".0000000000"), "decimal"),
        "priceperunit": make.text("Price", joined(as_text(price), ".5000000000"), "money"),
        "extendedamount": make.text("Amount", joined(as_text(quantity * price), ".0000000000"), "money"),
        "manualdiscountamount": make.text("Discount", pa.nulls(len(quantity), pa.string()), "money"),
        "lineitemnumber": make.text("Line", as_text(make.numbers % 3 + 1), "number"),
        **make.currency(),
        "description": make.text("Description", legacy.notes("line"), "memo"),
        "createdon": make.audit()["createdon"],
        "modifiedon": make.audit()["modifiedon"],
    }


def _incident(legacy: Legacy, make: _Maker) -> Fields:
    customer = make.link("customerid", "account")
    state = legacy.index("case", "state", 3)
    return {
        "ticketnumber": make.text("Case Number", joined("CAS-", as_text(make.numbers, 5))),
        "title": make.text("Case Title", legacy.text("case", "subject", ["Pump leaks", "设备故障"])),
        "customerid": Column(
            "customer", "Customer", customer.values, "account", customer.entity_name, "account|contact"
        ),
        "primarycontactid": make.link("primarycontactid", "contact"),
        "casetypecode": make.pick("Case Type", ["1", "2", "3"]),
        "caseorigincode": make.pick("Origin", ["1", "2", "3"]),
        "prioritycode": make.pick("Priority", ["1", "2", "3"]),
        "description": make.text("Description", legacy.notes("case"), "memo"),
        **make.audit(put(one_of(("0", "1", "2"), state), 0, "9"), one_of(("1", "5", "6"), state)),
    }


def _campaign(legacy: Legacy, make: _Maker) -> Fields:
    return {
        "name": make.text("Name", joined(legacy.text("campaign", "name", ["Trade fair", "展会"]), " ", as_text(make.numbers))),
        "codename": make.text("Code", joined("CMP-", as_text(make.numbers, 4))),
        "typecode": make.pick("Type", ["1", "2", "3", "4", "5"]),
        "actualstart": make.text("Start", legacy.days("campaign", "start"), "datetime"),
        "actualend": make.text("End", legacy.days("campaign", "end"), "datetime"),
        "budgetedcost": make.text("Budget", legacy.amounts("campaign", "budget"), "money"),
        "totalactualcost": make.text("Cost", legacy.amounts("campaign", "cost"), "money"),
        "expectedrevenue": make.text("Est. Revenue", legacy.amounts("campaign", "expected"), "money"),
        **make.currency(),
        "description": make.text("Description", legacy.notes("campaign"), "memo"),
        **make.audit(),
    }  # fmt: skip


def _response(legacy: Legacy, make: _Maker) -> Fields:
    regarding = make.link("regardingobjectid", "campaign", orphan=0)
    lead = legacy.index("member", "contact or lead", 2) == 0
    keys = chosen(
        lead,
        _refer(legacy, "member", "lead", "lead", 1.0),
        _refer(legacy, "member", "contact", "contact", 1.0),
    )
    return {
        "subject": make.text("Subject", legacy.text("member", "subject", ["Visited", "报名"])),
        "regardingobjectid": regarding,
        "customer": Column("partylist", "Customer", _party(keys, chosen(lead, "lead", "contact"), "11"), nested=True),
        "responsecode": make.pick("Response", ["1", "2", "3"]),
        "receivedon": make.text("Received", legacy.days("member", "received"), "datetime"),
        **make.audit(),
    }  # fmt: skip


def _task(legacy: Legacy, make: _Maker) -> Fields:
    done = legacy.index("task", "done", 2) == 0
    return {
        "subject": make.text("Subject", legacy.text("task", "subject", ["Send quote", "回访"])),
        "regardingobjectid": make.regarding(),
        "scheduledend": make.text(
            "Due", values.iso(legacy.instants("task", "due")[0], ".0000000Z"), "datetime"
        ),
        "prioritycode": make.pick("Priority", ["0", "1", "2"]),
        "description": make.text("Description", legacy.notes("task"), "memo"),
        **make.audit(chosen(done, "1", "0"), chosen(done, "5", "2")),
    }


def _call(legacy: Legacy, make: _Maker) -> Fields:
    contact, user = (
        _refer(legacy, "call", name, table, 1.0)
        for name, table in (("to", "contact"), ("from", "systemuser"))
    )
    return {
        "subject": make.text("Subject", legacy.text("call", "subject", ["Call back", "回电"])),
        "regardingobjectid": make.regarding(),
        "from": Column("partylist", "From", _party(user, "systemuser", "1"), nested=True),
        "to": Column("partylist", "To", _party(contact, "contact", "2"), nested=True),
        "directioncode": make.flag("Direction", legacy.index("call", "out", 3) > 0),
        "scheduledend": make.text("Due", values.iso(legacy.instants("call", "due")[0], ".0000000Z"), "datetime"),
        "prioritycode": make.pick("Priority", ["0", "1", "2"]),
        "description": make.text("Description", legacy.notes("call"), "memo"),
        **make.audit(),
    }  # fmt: skip


def _appointment(legacy: Legacy, make: _Maker) -> Fields:
    start = legacy.instants("event", "start")[0]
    return {
        "subject": make.text("Subject", legacy.text("event", "subject", ["Demo", "拜访"])),
        "regardingobjectid": make.regarding(),
        "requiredattendees": Column(
            "partylist", "Required", _party(_refer(legacy, "event", "who", "contact", 1.0), "contact", "5"), nested=True
        ),
        "scheduledstart": make.text("Start", values.iso(start, ".0000000Z"), "datetime"),
        "scheduledend": make.text("End", values.iso(start + 3600, ".0000000Z"), "datetime"),
        "location": make.text("Location", legacy.text("event", "place", ["Room 3", "上海", ""])),
        "isalldayevent": make.flag("All Day", start < 0),
        "description": make.text("Description", legacy.notes("event"), "memo"),
        **make.audit(),
    }  # fmt: skip


def _annotation(legacy: Legacy, make: _Maker) -> Fields:
    """Notes; every other one is a file."""
    document = make.numbers % 2 == 0
    content = [base64.b64encode(f"file {number}".encode()).decode() for number in make.numbers.tolist()]
    audit = make.audit()
    return {
        "subject": make.text("Title", legacy.text("note", "title", ["Minutes", "会议纪要"])),
        "notetext": make.text(
            "Text", legacy.text("note", "body", ["They want a quote.\nSoon.", "客户很满意"]), "memo"
        ),
        "objectid": make.regarding("objectid"),
        "isdocument": make.flag("Is Document", document),
        "filename": make.text(
            "File Name", chosen(document, joined("offer", as_text(make.numbers), ".txt"), None)
        ),
        "mimetype": make.text("Mime Type", chosen(document, "text/plain", None)),
        "filesize": make.text("File Size", chosen(document, as_text(make.numbers + 7), None), "number"),
        "documentbody": make.text("Document", chosen(document, pa.array(content), None), "memo"),
        **{name: audit[name] for name in ("ownerid", "createdby", "createdon", "modifiedon")},
    }


def _party(keys: pa.Array, entity: pa.Array | str, mask: str) -> pa.Array:
    return joined(
        '<activitypointerrecords id="', keys, '"><field name="partyid" value="', keys, '" lookupentity="', entity,
        f'" /><field name="participationtypemask" value="{mask}" /></activitypointerrecords>',
    )  # fmt: skip


def _key(table: str) -> str:
    return _KEYS.get(table, f"{table}id")


def _ids(table: str, numbers: Numbers) -> pa.Array:
    return guids(Chance(7, "legacy"), table, numbers)


def _refer(legacy: Legacy, kind: str, what: str, table: str, share: float) -> pa.Array:
    return refer(legacy.some(kind, what, _KINDS[table], share=share), lambda numbers: _ids(table, numbers))
