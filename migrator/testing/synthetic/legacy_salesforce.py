"""The small company's CRM as a Salesforce Data Export with all standard objects of sales, service and marketing."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv

from migrator.testing.synthetic import values
from migrator.testing.synthetic.chance import as_text, chosen, joined
from migrator.testing.synthetic.keys import salesforce_ids
from migrator.testing.synthetic.legacy import (
    INDUSTRIES,
    NOBODY,
    SOURCES,
    STAGES,
    WON,
    Columns,
    Legacy,
    LegacyTruth,
    Numbers,
    one_of,
    put,
    refer,
)
from migrator.testing.synthetic.weekly import ORGANISATION, fixed

_INDUSTRIES = ("Banking", "Electronics", "Healthcare", "Manufacturing", "Retail")
_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Other")
_STAGES = ("Prospecting", "Proposal/Price Quote", "Negotiation/Review", "Closed Won", "Closed Lost")
_PROBABILITY = ("10", "65", "80", "100", "0")
_RECORD_TYPES = {"Account": ("Customer", "Partner"), "Opportunity": ("New_Business", "Renewal")}
_KINDS = {
    "User": "user", "Account": "account", "Contact": "contact", "Lead": "lead", "Product2": "product",
    "Opportunity": "opportunity", "OpportunityLineItem": "line", "Case": "case", "Campaign": "campaign",
    "CampaignMember": "member", "Task": "task", "Event": "event", "Note": "note", "Attachment": "file",
    "ContentVersion": "document", "ContentDocumentLink": "document", "RecordType": "record type",
}  # fmt: skip
"""Object of the export → kind of record of the company."""
_QUEUE = "00G5g000004AbCdEAK"
_QUOTED = pc_csv.WriteOptions(include_header=True, quoting_style="all_valid")


def write(folder: Path, legacy: Legacy) -> LegacyTruth:
    """Write FOLDER/salesforce/WE_…_1.ZIP."""
    path = folder / "salesforce"
    path.mkdir(parents=True, exist_ok=True)
    truth = LegacyTruth(path)
    tables = _tables(legacy)
    with zipfile.ZipFile(path / f"WE_{ORGANISATION}_1.ZIP", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, columns in tables.items():
            table = pa.table(dict(columns))
            # Salesforce writes "" for null
            table = pa.table({item: table[item].fill_null("") for item in table.column_names})
            text = io.BytesIO()
            pc_csv.write_csv(table, text, _QUOTED)
            archive.writestr(fixed(f"{name}.csv"), text.getvalue())
            truth.records[name] = table.num_rows
        for folder_name, object_name in (("Attachments", "Attachment"), ("ContentVersion", "ContentVersion")):
            for number, key in enumerate(tables[object_name]["Id"].to_pylist()):
                archive.writestr(fixed(f"{folder_name}/{key}"), body(number))
    _tell(tables, truth)
    return truth


def body(number: int) -> bytes:
    """The content of a file: its number a few times over, so that all differ."""
    return f"file {number}\n".encode() * (number + 1)


def _tell(tables: Mapping[str, Columns], truth: LegacyTruth) -> None:
    for name, columns in tables.items():
        if "IsDeleted" in columns:
            gone = np.array(columns["IsDeleted"].to_pylist()) == "1"
            truth.deleted[name] = set(columns["Id"].filter(pa.array(gone)).to_pylist())
    for name, number, what in (
        ("Account", 0, "missing"), ("Contact", 0, "missing"), ("Contact", 1, "orphan"), ("Lead", 0, "unmapped"),
        ("Opportunity", 0, "unmapped"), ("Opportunity", 1, "amount"), ("Opportunity", 2, "date"),
        ("OpportunityLineItem", 0, "orphan"), ("Case", 0, "unmapped"), ("CampaignMember", 0, "orphan"),
        ("Task", 0, "date"),
    ):  # fmt: skip
        truth.faults[name, tables[name]["Id"][number].as_py()] = what
    for name, column, target in (
        ("Contact", "AccountId", "Account"), ("Opportunity", "AccountId", "Account"), ("Case", "ContactId", "Contact"),
        ("OpportunityLineItem", "OpportunityId", "Opportunity"), ("OpportunityLineItem", "Product2Id", "Product2"),
        ("CampaignMember", "CampaignId", "Campaign"),
    ):  # fmt: skip
        keys, linked = tables[name]["Id"].to_pylist(), tables[name][column].to_pylist()
        spoiled = {key for item, key in truth.faults if item == name} | truth.deleted[name]
        truth.links[name, column] = {
            key: (target, to)
            for key, to in zip(keys, linked, strict=True)
            if to is not None and key not in spoiled
        }


def _tables(legacy: Legacy) -> dict[str, Columns]:
    return {
        "User": _user(legacy),
        "RecordType": _record_type(),
        "Account": _account(legacy),
        "Contact": _contact(legacy),
        "Lead": _lead(legacy),
        "Product2": _product(legacy),
        "Opportunity": _opportunity(legacy),
        "OpportunityLineItem": _line(legacy),
        "Case": _case(legacy),
        "Campaign": _campaign(legacy),
        "CampaignMember": _member(legacy),
        "Task": _task(legacy),
        "Event": _event(legacy),
        "Note": _note(legacy),
        "Attachment": _attachment(legacy),
        "ContentVersion": _content_version(legacy),
        "ContentDocument": _content_document(legacy),
        "ContentDocumentLink": _content_link(legacy),
    }


def _user(legacy: Legacy) -> Columns:
    numbers, person = legacy.numbers("user"), legacy.people("user", NOBODY)
    created, modified = legacy.instants("user")
    name = joined("user", as_text(numbers))
    return {
        "Id": _ids("User", numbers),
        "Username": joined(name, "@legacy.example"),
        "LastName": person["last"],
        "FirstName": person["first"],
        "Email": joined(name, "@legacy.example"),
        "Phone": person["phone"],
        "Title": person["title"],
        "EmployeeNumber": joined("E", as_text(numbers, 4)),
        "ManagerId": refer(legacy.earlier("user", "manager", 0.6), partial(_ids, "User")),
        "IsActive": _flag(numbers % 4 != 3),
        "CreatedDate": _iso(created),
        "LastModifiedDate": _iso(modified),
    }


def _record_type() -> Columns:
    rows = [(name, developer) for name, all_ in _RECORD_TYPES.items() for developer in all_]
    return {
        "Id": _ids("RecordType", np.arange(len(rows))),
        "Name": pa.array([developer.replace("_", " ") for _, developer in rows]),
        "DeveloperName": pa.array([developer for _, developer in rows]),
        "SobjectType": pa.array([name for name, _ in rows]),
        "IsActive": pa.array(["1"] * len(rows)),
    }


def _account(legacy: Legacy) -> Columns:
    found = legacy.companies("account")
    return {
        "Id": _ids("Account", legacy.numbers("account")),
        "IsDeleted": _flag(legacy.deleted("account")),
        "Name": put(found["name"], 0, None),
        "Type": legacy.text("account", "type", ["Prospect", "Customer - Direct", "Channel Partner / Reseller"]),
        "RecordTypeId": _ids("RecordType", legacy.index("account", "record type", 2)),
        "ParentId": refer(legacy.earlier("account", "parent", 0.3), partial(_ids, "Account")),
        "BillingStreet": legacy.streets("account"),
        "BillingCity": found["city"],
        "BillingState": _none(legacy, "account"),
        "BillingPostalCode": as_text(legacy.index("account", "post code", 10**6), 6),
        "BillingCountry": found["country"],
        "Phone": found["phone"],
        "Fax": _none(legacy, "account"),
        "AccountNumber": joined("A-", as_text(legacy.numbers("account"), 5)),
        "Website": joined("https://www.", found["domain"], "/"),
        "Industry": one_of(_INDUSTRIES, legacy.index("account", "industry", INDUSTRIES)),
        "AnnualRevenue": legacy.amounts("account", "revenue"),
        "NumberOfEmployees": as_text(legacy.index("account", "employees", 20_000)),
        "Rating": legacy.text("account", "rating", ["Hot", "Warm", "Cold", ""]),
        "AccountSource": one_of(_SOURCES, legacy.index("account", "source", SOURCES)),
        "Description": legacy.notes("account"),
        "CurrencyIsoCode": legacy.money("account")[0],
        **_audit(legacy, "account"),
    }  # fmt: skip


def _contact(legacy: Legacy) -> Columns:
    person = legacy.people("contact")
    return {
        "Id": _ids("Contact", legacy.numbers("contact")),
        "IsDeleted": _flag(legacy.deleted("contact")),
        "AccountId": _orphan(_refer(legacy, "contact", "account", "Account"), 1, "Account"),
        "LastName": put(person["last"], 0, None),
        "FirstName": put(person["first"], 0, None),
        "Salutation": legacy.text("contact", "salutation", ["Mr.", "Ms.", "Dr.", ""]),
        "MailingStreet": legacy.streets("contact"),
        "MailingCity": person["city"],
        "MailingState": _none(legacy, "contact"),
        "MailingPostalCode": as_text(legacy.index("contact", "post code", 10**6), 6),
        "MailingCountry": person["country"],
        "Phone": _none(legacy, "contact"),
        "MobilePhone": person["phone"],
        "Email": person["email"],
        "Title": person["title"],
        "Department": legacy.text("contact", "department", ["Sales", "IT", "采购部", ""]),
        "ReportsToId": refer(legacy.earlier("contact", "boss", 0.2), partial(_ids, "Contact")),
        "LeadSource": one_of(_SOURCES, legacy.index("contact", "source", SOURCES)),
        "Birthdate": legacy.days("contact", "birth", "1970-01-01"),
        "HasOptedOutOfEmail": _flag(legacy.index("contact", "opted out", 10) == 0),
        "DoNotCall": _flag(legacy.index("contact", "do not call", 10) == 0),
        "Description": legacy.notes("contact"),
        **_audit(legacy, "contact"),
    }


def _lead(legacy: Legacy) -> Columns:
    person, company = legacy.people("lead", NOBODY // 3), legacy.companies("lead", NOBODY // 3)
    converted = legacy.index("lead", "converted", 4) == 0
    status = chosen(
        converted, "Closed - Converted",
        legacy.text("lead", "status", ["Open - Not Contacted", "Working - Contacted", "Closed - Not Converted"]),
    )  # fmt: skip
    queue = legacy.index("lead", "queue", 5) == 0
    audit = dict(_audit(legacy, "lead"))
    audit["OwnerId"] = chosen(queue, _QUEUE, audit["OwnerId"])
    return {
        "Id": _ids("Lead", legacy.numbers("lead")),
        "IsDeleted": _flag(legacy.deleted("lead")),
        "LastName": person["last"],
        "FirstName": person["first"],
        "Salutation": legacy.text("lead", "salutation", ["Mr.", "Ms.", ""]),
        "Title": person["title"],
        "Company": company["name"],
        "Street": legacy.streets("lead"),
        "City": person["city"],
        "State": _none(legacy, "lead"),
        "PostalCode": _none(legacy, "lead"),
        "Country": person["country"],
        "Phone": company["phone"],
        "MobilePhone": person["phone"],
        "Email": person["email"],
        "Website": joined("www.", company["domain"]),
        "Description": legacy.notes("lead"),
        "LeadSource": one_of(_SOURCES, legacy.index("lead", "source", SOURCES)),
        "Status": put(status, 0, "Z-OLD-17"),
        "Industry": one_of(_INDUSTRIES, legacy.index("lead", "industry", INDUSTRIES)),
        "Rating": legacy.text("lead", "rating", ["Hot", "Warm", "Cold", ""]),
        "AnnualRevenue": legacy.amounts("lead", "revenue"),
        "NumberOfEmployees": as_text(legacy.index("lead", "employees", 500)),
        "IsConverted": _flag(converted),
        "ConvertedDate": chosen(converted, legacy.days("lead", "converted on"), None),
        "ConvertedAccountId": chosen(converted, _refer(legacy, "lead", "account", "Account"), None),
        "ConvertedContactId": chosen(converted, _refer(legacy, "lead", "contact", "Contact"), None),
        "ConvertedOpportunityId": chosen(converted, _refer(legacy, "lead", "opportunity", "Opportunity", share=0.5), None),
        "HasOptedOutOfEmail": _flag(legacy.index("lead", "opted out", 10) == 0),
        "CurrencyIsoCode": legacy.money("lead")[0],
        **audit,
    }  # fmt: skip


def _product(legacy: Legacy) -> Columns:
    numbers = legacy.numbers("product")
    return {
        "Id": _ids("Product2", numbers),
        "IsDeleted": _flag(legacy.deleted("product")),
        "Name": joined(
            legacy.text("product", "name", ["Pump", "阀门", "Service pack"]), " ", as_text(numbers)
        ),
        "ProductCode": joined("P-", as_text(numbers, 4)),
        "Description": legacy.notes("product"),
        "IsActive": _flag(numbers % 5 != 4),
        "Family": legacy.text("product", "family", ["Hardware", "Services"]),
        "QuantityUnitOfMeasure": legacy.text("product", "unit", ["Each", "Hour", ""]),
        **_audit(legacy, "product", owned=False),
    }


def _opportunity(legacy: Legacy) -> Columns:
    numbers, stage = legacy.numbers("opportunity"), legacy.index("opportunity", "stage", STAGES)
    name = joined(legacy.text("opportunity", "deal", ["Renewal", "扩容项目"]), " #", as_text(numbers))
    return {
        "Id": _ids("Opportunity", numbers),
        "IsDeleted": _flag(legacy.deleted("opportunity")),
        "AccountId": _refer(legacy, "opportunity", "account", "Account"),
        "RecordTypeId": _ids("RecordType", 2 + legacy.index("opportunity", "record type", 2)),
        "Name": name,
        "Description": legacy.notes("opportunity"),
        "StageName": put(one_of(_STAGES, stage), 0, "Z-OLD-17"),
        "Amount": put(legacy.amounts("opportunity", "amount"), 1, "n/a"),
        "Probability": one_of(_PROBABILITY, stage),
        "CloseDate": put(legacy.days("opportunity", "close"), 2, "2024-02-30"),
        "Type": legacy.text("opportunity", "type", ["New Customer", "Existing Customer - Upgrade"]),
        "NextStep": legacy.text("opportunity", "next", ["Send quote", "回访", ""]),
        "LeadSource": one_of(_SOURCES, legacy.index("opportunity", "source", SOURCES)),
        "IsClosed": _flag(stage >= WON),
        "IsWon": _flag(stage == WON),
        "ForecastCategoryName": one_of(("Pipeline", "Best Case", "Commit", "Closed", "Omitted"), stage),
        "CurrencyIsoCode": legacy.money("opportunity")[0],
        "CampaignId": _refer(legacy, "opportunity", "campaign", "Campaign", share=0.4),
        "HasOpportunityLineItem": _flag(numbers >= 0),
        **_audit(legacy, "opportunity"),
    }


def _line(legacy: Legacy) -> Columns:
    numbers = legacy.numbers("line")
    quantity, price = legacy.index("line", "quantity", 20) + 1, legacy.index("line", "price", 900) + 1
    return {
        "Id": _ids("OpportunityLineItem", numbers),
        "IsDeleted": _flag(legacy.deleted("line")),
        "OpportunityId": _orphan(_refer(legacy, "line", "opportunity", "Opportunity"), 0, "Opportunity"),
        "SortOrder": as_text(numbers % 3 + 1),
        "Product2Id": _refer(legacy, "line", "product", "Product2"),
        "Quantity": joined(as_text(quantity), ".00"),
        "UnitPrice": joined(as_text(price), ".50"),
        "ListPrice": joined(as_text(price + 5), ".00"),
        "TotalPrice": joined(as_text(quantity * price + quantity // 2), one_of((".00", ".50"), quantity % 2)),
        "Discount": _none(legacy, "line"),
        "ServiceDate": legacy.days("line", "service"),
        "Description": legacy.notes("line"),
        "CurrencyIsoCode": legacy.money("line")[0],
        **_audit(legacy, "line", owned=False),
    }


def _case(legacy: Legacy) -> Columns:
    numbers = legacy.numbers("case")
    status = legacy.text("case", "status", ["New", "Working", "Escalated", "Closed"])
    closed = np.array(status.to_pylist()) == "Closed"
    return {
        "Id": _ids("Case", numbers),
        "IsDeleted": _flag(legacy.deleted("case")),
        "CaseNumber": as_text(numbers + 1000, 8),
        "ContactId": _refer(legacy, "case", "contact", "Contact"),
        "AccountId": _refer(legacy, "case", "account", "Account"),
        "ParentId": refer(legacy.earlier("case", "parent", 0.1), partial(_ids, "Case")),
        "Type": legacy.text("case", "type", ["Mechanical", "Electrical", "Other"]),
        "Status": put(status, 0, "Z-OLD-17"),
        "Reason": legacy.text("case", "reason", ["Installation", "Breakdown", ""]),
        "Origin": legacy.text("case", "origin", ["Phone", "Email", "Web"]),
        "Subject": legacy.text("case", "subject", ["Pump leaks", "设备故障", 'Says "error 5", stops']),
        "Priority": legacy.text("case", "priority", ["High", "Medium", "Low"]),
        "Description": legacy.notes("case"),
        "IsClosed": _flag(closed),
        "ClosedDate": chosen(closed, _iso(legacy.instants("case")[1]), None),
        **_audit(legacy, "case"),
    }


def _campaign(legacy: Legacy) -> Columns:
    numbers = legacy.numbers("campaign")
    return {
        "Id": _ids("Campaign", numbers),
        "IsDeleted": _flag(legacy.deleted("campaign")),
        "Name": joined(
            legacy.text("campaign", "name", ["Trade fair", "展会", "Webinar"]), " ", as_text(numbers)
        ),
        "ParentId": refer(legacy.earlier("campaign", "parent", 0.3), partial(_ids, "Campaign")),
        "Type": legacy.text("campaign", "type", ["Conference", "Webinar", "Email", "Other"]),
        "Status": legacy.text("campaign", "status", ["Planned", "In Progress", "Completed", "Aborted"]),
        "StartDate": legacy.days("campaign", "start"),
        "EndDate": legacy.days("campaign", "end", "2026-01-01"),
        "ExpectedRevenue": legacy.amounts("campaign", "expected"),
        "BudgetedCost": legacy.amounts("campaign", "budget"),
        "ActualCost": legacy.amounts("campaign", "cost"),
        "NumberSent": as_text(legacy.index("campaign", "sent", 500)),
        "IsActive": _flag(numbers % 2 == 0),
        "Description": legacy.notes("campaign"),
        "CurrencyIsoCode": legacy.money("campaign")[0],
        **_audit(legacy, "campaign"),
    }


def _member(legacy: Legacy) -> Columns:
    contact = legacy.index("member", "contact or lead", 2) == 0
    return {
        "Id": _ids("CampaignMember", legacy.numbers("member")),
        "IsDeleted": _flag(legacy.deleted("member")),
        "CampaignId": _orphan(_refer(legacy, "member", "campaign", "Campaign"), 0, "Campaign"),
        "LeadId": chosen(~contact, _refer(legacy, "member", "lead", "Lead"), None),
        "ContactId": chosen(contact, _refer(legacy, "member", "contact", "Contact"), None),
        "Status": legacy.text("member", "status", ["Sent", "Responded"]),
        "HasResponded": _flag(legacy.index("member", "responded", 2) == 0),
        "FirstRespondedDate": legacy.days("member", "responded on"),
        **_audit(legacy, "member", owned=False),
    }


def _about(legacy: Legacy, kind: str) -> Columns:
    """WhoId, WhatId and the account that Salesforce derives from them."""
    which = legacy.index(kind, "about", 4)
    account = _refer(legacy, kind, "account", "Account")
    what = chosen(which == 0, account, None)
    what = chosen(which == 1, _refer(legacy, kind, "opportunity", "Opportunity"), what)
    what = chosen(which == 2, _refer(legacy, kind, "case", "Case"), what)
    lead = which == 3
    who = chosen(
        lead, _refer(legacy, kind, "lead", "Lead"), _refer(legacy, kind, "contact", "Contact", share=0.7)
    )
    return {"WhoId": who, "WhatId": what, "AccountId": chosen(lead, None, account)}


def _task(legacy: Legacy) -> Columns:
    return {
        "Id": _ids("Task", legacy.numbers("task")),
        "IsDeleted": _flag(legacy.deleted("task")),
        **_about(legacy, "task"),
        "Subject": legacy.text("task", "subject", ["Call", "Send quote", "回访", "Email"]),
        "ActivityDate": put(legacy.days("task", "due"), 0, "2024-02-30"),
        "Status": legacy.text("task", "status", ["Not Started", "In Progress", "Completed", "Deferred"]),
        "Priority": legacy.text("task", "priority", ["High", "Normal", "Low"]),
        "TaskSubtype": legacy.text("task", "kind", ["Task", "Call", "Email"]),
        "CallDurationInSeconds": as_text(legacy.index("task", "seconds", 900)),
        "Description": legacy.notes("task"),
        **_audit(legacy, "task"),
    }


def _event(legacy: Legacy) -> Columns:
    start, minutes = legacy.instants("event", "start")[0], legacy.index("event", "minutes", 180) + 15
    start -= start % 60
    return {
        "Id": _ids("Event", legacy.numbers("event")),
        "IsDeleted": _flag(legacy.deleted("event")),
        **_about(legacy, "event"),
        "Subject": legacy.text("event", "subject", ["Meeting: budget, scope", "拜访", "Demo"]),
        "Location": legacy.text("event", "place", ["Room 3", "上海", ""]),
        "IsAllDayEvent": _flag(start < 0),
        "StartDateTime": _iso(start),
        "EndDateTime": _iso(start + minutes * 60),
        "DurationInMinutes": as_text(minutes),
        "Description": legacy.notes("event"),
        **_audit(legacy, "event"),
    }


def _note(legacy: Legacy) -> Columns:
    return {
        "Id": _ids("Note", legacy.numbers("note")),
        "IsDeleted": _flag(legacy.deleted("note")),
        "ParentId": _parent(legacy, "note"),
        "Title": legacy.text("note", "title", ["Minutes", "会议纪要"]),
        "IsPrivate": _flag(legacy.numbers("note") < 0),
        "Body": legacy.text("note", "body", ["They want a quote.\nSoon.", "客户很满意", 'Said "yes, but"']),
        **_audit(legacy, "note"),
    }


def _attachment(legacy: Legacy) -> Columns:
    numbers = legacy.numbers("file")
    return {
        "Id": _ids("Attachment", numbers),
        "IsDeleted": _flag(legacy.deleted("file")),
        "ParentId": _parent(legacy, "file"),
        "Name": joined(legacy.text("file", "name", ["offer ", "合同"]), as_text(numbers), ".txt"),
        "IsPrivate": _flag(numbers < 0),
        "ContentType": pa.array(["text/plain"] * len(numbers)),
        "BodyLength": pa.array([str(len(body(number))) for number in numbers.tolist()]),
        "Description": legacy.notes("file"),
        **_audit(legacy, "file"),
    }


def _content_version(legacy: Legacy) -> Columns:
    """Files as Salesforce keeps them today: the first document has an older version too."""
    numbers = legacy.numbers("document")
    document = np.where(numbers == 0, 1, numbers)
    return {
        "Id": _ids("ContentVersion", numbers),
        "ContentDocumentId": _ids("ContentDocument", document),
        "IsLatest": _flag(numbers != 0),
        "VersionNumber": as_text(np.where(document == numbers, np.where(numbers == 1, 2, 1), 1)),
        "Title": joined(legacy.text("document", "title", ["plan ", "方案"]), as_text(numbers)),
        "PathOnClient": joined("plan", as_text(numbers), ".txt"),
        "FileType": pa.array(["TEXT"] * len(numbers)),
        "ContentSize": pa.array([str(len(body(number))) for number in numbers.tolist()]),
        "Checksum": pa.array([hashlib.md5(body(number), usedforsecurity=False).hexdigest() for number in numbers.tolist()]),
        "FirstPublishLocationId": _parent(legacy, "document"),
        **_audit(legacy, "document"),
    }  # fmt: skip


def _content_document(legacy: Legacy) -> Columns:
    numbers = legacy.numbers("document")[1:]
    return {
        "Id": _ids("ContentDocument", numbers),
        "LatestPublishedVersionId": _ids("ContentVersion", numbers),
        "IsDeleted": _flag(numbers < 0),
    }


def _content_link(legacy: Legacy) -> Columns:
    numbers = legacy.numbers("document")[1:]
    return {
        "Id": _ids("ContentDocumentLink", numbers),
        "LinkedEntityId": _refer(legacy, "document", "linked", "Account", target="account").slice(1),
        "ContentDocumentId": _ids("ContentDocument", numbers),
        "IsDeleted": _flag(numbers < 0),
        "ShareType": pa.array(["V"] * len(numbers)),
        "Visibility": pa.array(["AllUsers"] * len(numbers)),
    }


def _parent(legacy: Legacy, kind: str) -> pa.Array:
    """The record a note or file hangs on: of four kinds."""
    which = legacy.index(kind, "parent", 4)
    found = _refer(legacy, kind, "account", "Account")
    for place, (name, target) in enumerate(
        (("Contact", "contact"), ("Opportunity", "opportunity"), ("Case", "case")), 1
    ):
        found = chosen(which == place, _refer(legacy, kind, target, name), found)
    return found


def _ids(name: str, numbers: Numbers) -> pa.Array:
    return salesforce_ids(name, numbers)


def _refer(
    legacy: Legacy, kind: str, what: str, name: str, *, target: str = "", share: float = 1.0
) -> pa.Array:
    return refer(legacy.some(kind, what, target or _KINDS[name], share=share), partial(_ids, name))


def _orphan(column: pa.Array, number: int, name: str) -> pa.Array:
    return put(column, number, _ids(name, np.array([NOBODY]))[0].as_py())


def _none(legacy: Legacy, kind: str) -> pa.Array:
    return pa.nulls(legacy.count(kind), pa.string())


def _flag(mask: Numbers) -> pa.Array:
    return chosen(mask, "1", "0")


def _iso(seconds: Numbers) -> pa.Array:
    return values.iso(seconds, ".000Z")


def _audit(legacy: Legacy, kind: str, *, owned: bool = True) -> Columns:
    created, modified = legacy.instants(kind)
    owner = _refer(legacy, kind, "owner", "User")
    return {
        **({"OwnerId": owner} if owned else {}),
        "CreatedDate": _iso(created),
        "CreatedById": _refer(legacy, kind, "creator", "User"),
        "LastModifiedDate": _iso(modified),
        "LastModifiedById": _refer(legacy, kind, "modifier", "User"),
        "SystemModstamp": _iso(modified),
    }
