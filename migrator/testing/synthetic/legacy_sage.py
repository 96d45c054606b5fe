"""The small company's CRM as the database of Sage CRM: the base tables, without foreign keys, times in local time."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa

from migrator.testing.synthetic import values
from migrator.testing.synthetic.chance import as_text, chosen, joined
from migrator.testing.synthetic.legacy import (
    INDUSTRIES,
    LOST,
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
)

COMPANY, PERSON, OPPORTUNITY, CASE = "5", "13", "10", "3"
"""Numbers of entities in link tables (`bord_tableid`)."""
_SOURCES = ("Web", "Telephone", "Referral", "Exhibition")
_INDUSTRIES = ("Fin", "Ele", "Hea", "Man", "Ret")
_STAGES = ("Lead", "Proposal", "Negotiating", "Sale Agreed", "Lost")
_NUMBERS = ("id", "_cid", "createdby", "updatedby", "deleted", "certainty", "linenumber", "filesize")
"""Endings of columns that hold whole numbers."""
_TIMES = ("date", "datetime", "opened", "closed", "targetclose")
"""Endings of columns that hold local times."""
_MONEY = ("forecast", "price", "pricetotal", "quantity")
"""Endings of columns that hold exact decimals."""


def write(folder: Path, legacy: Legacy) -> LegacyTruth:
    """Write FOLDER/sagecrm.db."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sagecrm.db"
    truth = LegacyTruth(path)
    tables = _tables(legacy)
    with closing(sqlite3.connect(path)) as connection, connection:
        for name, columns in tables.items():
            _create(connection, name, columns)
            truth.records[name] = len(next(iter(columns.values())))
    _tell(legacy, tables, truth)
    return truth


def _create(connection: sqlite3.Connection, name: str, columns: Columns) -> None:
    key, *_ = columns
    declared = ", ".join(f'"{item}" {_type(item)}{" PRIMARY KEY" if item == key else ""}' for item in columns)
    connection.execute(f'CREATE TABLE "{name}" ({declared})')
    marks = ", ".join("?" * len(columns))
    rows = zip(*(column.to_pylist() for column in columns.values()), strict=True)
    connection.executemany(f'INSERT INTO "{name}" VALUES ({marks})', rows)


def _type(column: str) -> str:
    name = column.lower().partition("_")[2]
    if name.endswith(_NUMBERS):
        return "INTEGER"
    if name.endswith(_TIMES):
        return "DATETIME"
    return "DECIMAL(18,2)" if name.endswith(_MONEY) else "NVARCHAR(4000)"


def _tell(legacy: Legacy, tables: dict[str, Columns], truth: LegacyTruth) -> None:
    for kind, name in (("account", "Company"), ("contact", "Person"), ("lead", "Lead"), ("case", "Cases"),
                       ("opportunity", "Opportunity"), ("task", "Communication"), ("note", "Notes")):  # fmt: skip
        truth.deleted[name] = {str(legacy.count(kind))}
    for name, key, what in (
        ("mig_company", 1, "missing"), ("mig_person", 1, "missing"), ("mig_person", 2, "orphan"), ("Lead", 1, "unmapped"),
        ("mig_opportunity", 1, "unmapped"), ("Cases", 1, "unmapped"), ("mig_quote_item", 1, "orphan"),
    ):  # fmt: skip
        truth.faults[name, str(key)] = what
    for view, name, column, target in (
        ("mig_person", "Person", "Pers_CompanyId", "mig_company"),
        ("mig_opportunity", "Opportunity", "Oppo_PrimaryCompanyId", "mig_company"),
        ("Cases", "Cases", "Case_PrimaryPersonId", "mig_person"),
    ):
        keys, linked = next(iter(tables[name].values())).to_pylist(), tables[name][column].to_pylist()
        spoiled = {key for item, key in truth.faults if item == view} | truth.deleted[name]
        truth.links[view, column] = {
            str(key): (target, str(to))
            for key, to in zip(keys, linked, strict=True)
            if to is not None and str(key) not in spoiled
        }


def _tables(legacy: Legacy) -> dict[str, Columns]:
    company, person = legacy.companies("account"), legacy.people("contact")
    return {
        "Users": _users(legacy),
        "Currency": {"Curr_CurrencyID": _ints(np.arange(5) + 1), "Curr_Symbol": pa.array(["CNY", "USD", "HKD", "EUR", "JPY"])},
        "Company": _company(legacy, company),
        "Person": _person(legacy, person),
        "Address": _address(legacy, company, person),
        "Email": {"Emai_EmailId": _ints(legacy.numbers("contact") + 1), "Emai_EmailAddress": person["email"]},
        "EmailLink": _link(legacy, "ELink", "EmailId", PERSON, "contact"),
        "Phone": {
            "Phon_PhoneId": _ints(legacy.numbers("account") + 1),
            "Phon_CountryCode": pa.array([None] * legacy.count("account"), pa.string()),
            "Phon_AreaCode": pa.array([None] * legacy.count("account"), pa.string()),
            "Phon_Number": company["phone"],
        },
        "PhoneLink": _link(legacy, "PLink", "PhoneId", COMPANY, "account"),
        "Lead": _lead(legacy),
        "Opportunity": _opportunity(legacy),
        "NewProduct": _product(legacy),
        "Quotes": _quotes(legacy),
        "QuoteItems": _quote_items(legacy),
        "Cases": _cases(legacy),
        "Campaigns": _campaigns(legacy),
        "Communication": _communication(legacy),
        "Comm_Link": _comm_link(legacy),
        "Notes": _notes(legacy),
        "Library": _library(legacy),
    }  # fmt: skip


def _users(legacy: Legacy) -> Columns:
    numbers, person = legacy.numbers("user"), legacy.people("user", NOBODY)
    return {
        "User_UserId": _ints(numbers + 1),
        "User_Logon": joined("user", as_text(numbers)),
        "User_FirstName": person["first"],
        "User_LastName": person["last"],
        "User_EmailAddress": joined("user", as_text(numbers), "@legacy.example"),
        "User_Phone": person["phone"],
        "User_Title": person["title"],
        "User_Disabled": chosen(numbers % 4 == 3, "Y", None),
        **_audit(legacy, "user", "User"),
    }


def _company(legacy: Legacy, found: Columns) -> Columns:
    numbers = legacy.numbers("account")
    return {
        "Comp_CompanyId": _ints(numbers + 1),
        "Comp_PrimaryPersonId": _some(legacy, "account", "main person", "contact", 0.5),
        "Comp_PrimaryAddressId": _ints(numbers + 1),
        "Comp_PrimaryUserId": _some(legacy, "account", "owner", "user"),
        "Comp_Name": put(found["name"], 0, None),
        "Comp_Type": legacy.text("account", "type", ["Prospect", "Customer", "Partner", "Supplier"]),
        "Comp_Status": legacy.text("account", "status", ["Active", "Inactive", ""]),
        "Comp_Source": one_of(_SOURCES, legacy.index("account", "source", SOURCES)),
        "Comp_Sector": one_of(_INDUSTRIES, legacy.index("account", "industry", INDUSTRIES)),
        "Comp_Revenue": legacy.text("account", "revenue", ["Less1", "1to10", ""]),
        "Comp_Employees": legacy.text("account", "employees", ["1to10", "11to100", ""]),
        "Comp_WebSite": joined("www.", found["domain"]),
        **_audit(legacy, "account", "Comp"),
    }


def _person(legacy: Legacy, found: Columns) -> Columns:
    numbers = legacy.numbers("contact")
    return {
        "Pers_PersonId": _ints(numbers + 1),
        "Pers_CompanyId": _orphan(_some(legacy, "contact", "account", "account"), 1),
        "Pers_PrimaryAddressId": _ints(numbers + 1 + legacy.count("account")),
        "Pers_PrimaryUserId": _some(legacy, "contact", "owner", "user"),
        "Pers_Salutation": legacy.text("contact", "salutation", ["Mr.", "Ms.", ""]),
        "Pers_FirstName": put(found["first"], 0, None),
        "Pers_LastName": put(found["last"], 0, None),
        "Pers_Title": found["title"],
        "Pers_Department": legacy.text("contact", "department", ["Sales", "采购部", ""]),
        **_audit(legacy, "contact", "Pers"),
    }


def _address(legacy: Legacy, company: Columns, person: Columns) -> Columns:
    """First one for each company, then one for each person."""
    street = pa.concat_arrays([legacy.streets("account"), legacy.streets("contact")])
    return {
        "Addr_AddressId": _ints(np.arange(len(street)) + 1),
        "Addr_Address1": street,
        "Addr_City": pa.concat_arrays([company["city"], person["city"]]),
        "Addr_State": pa.nulls(len(street), pa.string()),
        "Addr_PostCode": pa.nulls(len(street), pa.string()),
        "Addr_Country": pa.concat_arrays([company["country"], person["country"]]),
    }


def _link(legacy: Legacy, prefix: str, target: str, entity: str, kind: str) -> Columns:
    numbers = legacy.numbers(kind)
    return {
        f"{prefix}_LinkID": _ints(numbers + 1),
        f"{prefix}_EntityID": _ints(np.full(len(numbers), int(entity))),
        f"{prefix}_RecordID": _ints(numbers + 1),
        f"{prefix}_Type": pa.array(["Business"] * len(numbers)),
        f"{prefix}_{target}": _ints(numbers + 1),
        f"{prefix}_Deleted": pa.nulls(len(numbers), pa.int64()),
    }


def _lead(legacy: Legacy) -> Columns:
    person, company = legacy.people("lead", NOBODY // 3), legacy.companies("lead", NOBODY // 3)
    return {
        "Lead_LeadID": _ints(legacy.numbers("lead") + 1),
        "Lead_PrimaryCompanyID": _some(legacy, "lead", "company", "account", 0.2),
        "Lead_AssignedUserID": _some(legacy, "lead", "owner", "user", 0.8),
        "Lead_CompanyName": company["name"],
        "Lead_CompanyWebSite": joined("www.", company["domain"]),
        "Lead_CompanyCity": company["city"],
        "Lead_CompanyCountry": company["country"],
        "Lead_PersonFirstName": person["first"],
        "Lead_PersonLastName": person["last"],
        "Lead_PersonTitle": person["title"],
        "Lead_PersonEmail": person["email"],
        "Lead_PersonPhoneNumber": person["phone"],
        "Lead_Description": legacy.text("lead", "description", ["Pumps", "询价"]),
        "Lead_Details": legacy.notes("lead"),
        "Lead_Source": one_of(_SOURCES, legacy.index("lead", "source", SOURCES)),
        "Lead_Rating": legacy.text("lead", "rating", ["Hot", "Cold", ""]),
        "Lead_Status": put(legacy.text("lead", "status", ["In Progress", "Opportunity", "Not Interested"]), 0, "Z-OLD-17"),
        **_audit(legacy, "lead", "Lead"),
    }  # fmt: skip


def _opportunity(legacy: Legacy) -> Columns:
    numbers, stage = legacy.numbers("opportunity"), legacy.index("opportunity", "stage", STAGES)
    status = chosen(stage == WON, "Won", chosen(stage == LOST, "Lost", "In Progress"))
    return {
        "Oppo_OpportunityId": _ints(numbers + 1),
        "Oppo_PrimaryCompanyId": _some(legacy, "opportunity", "account", "account"),
        "Oppo_PrimaryPersonId": _some(legacy, "opportunity", "contact", "contact", 0.7),
        "Oppo_AssignedUserId": _some(legacy, "opportunity", "owner", "user"),
        "Oppo_Description": joined(legacy.text("opportunity", "deal", ["Renewal", "扩容项目"]), " #", as_text(numbers)),
        "Oppo_Type": legacy.text("opportunity", "type", ["Mail", "License", ""]),
        "Oppo_Source": one_of(_SOURCES, legacy.index("opportunity", "source", SOURCES)),
        "Oppo_Note": legacy.notes("opportunity"),
        "Oppo_Opened": _local(legacy.instants("opportunity")[0]),
        "Oppo_Closed": chosen(stage >= WON, _local(legacy.instants("opportunity")[1]), None),
        "Oppo_Status": status,
        "Oppo_Stage": put(one_of(_STAGES, stage), 0, "Z-OLD-17"),
        "Oppo_Forecast": legacy.amounts("opportunity", "amount"),
        "Oppo_Forecast_CID": _ints(legacy.index("opportunity", "currency", 5) + 1),
        "Oppo_Certainty": _ints(legacy.index("opportunity", "certainty", 101)),
        "Oppo_TargetClose": joined(legacy.days("opportunity", "close"), " 00:00:00"),
        **_audit(legacy, "opportunity", "Oppo"),
    }  # fmt: skip


def _product(legacy: Legacy) -> Columns:
    numbers = legacy.numbers("product")
    return {
        "Prod_ProductID": _ints(numbers + 1),
        "Prod_Name": joined(legacy.text("product", "name", ["Pump", "阀门"]), " ", as_text(numbers)),
        "Prod_Code": joined("P-", as_text(numbers, 4)),
        "Prod_Active": chosen(numbers % 5 == 4, "N", "Y"),
        **_audit(legacy, "product", "Prod"),
    }


def _quotes(legacy: Legacy) -> Columns:
    numbers = legacy.numbers("line")
    return {
        "Quot_OrderQuoteID": _ints(numbers + 1),
        "Quot_OpportunityId": _orphan(_some(legacy, "line", "opportunity", "opportunity"), 0),
        "Quot_Currency": as_text(legacy.index("line", "currency", 5) + 1),
        "Quot_Deleted": pa.nulls(len(numbers), pa.int64()),
    }


def _quote_items(legacy: Legacy) -> Columns:
    numbers = legacy.numbers("line")
    quantity, price = legacy.index("line", "quantity", 20) + 1, legacy.index("line", "price", 900) + 1
    return {
        "QuIt_LineItemID": _ints(numbers + 1),
        "QuIt_OrderQuoteID": _ints(numbers + 1),
        "QuIt_ProductID": _some(legacy, "line", "product", "product"),
        "QuIt_LineNumber": _ints(numbers % 3 + 1),
        "QuIt_Description": legacy.notes("line"),
        "QuIt_Quantity": joined(as_text(quantity), ".00"),
        "QuIt_QuotedPrice": joined(as_text(price), ".50"),
        "QuIt_QuotedPriceTotal": joined(as_text(quantity * price + quantity // 2), one_of((".00", ".50"), quantity % 2)),
        **_audit(legacy, "line", "QuIt"),
    }  # fmt: skip


def _cases(legacy: Legacy) -> Columns:
    numbers = legacy.numbers("case")
    status = legacy.text("case", "status", ["In Progress", "Closed"])
    closed = np.array(status.to_pylist()) == "Closed"
    return {
        "Case_CaseId": _ints(numbers + 1),
        "Case_PrimaryCompanyId": _some(legacy, "case", "account", "account"),
        "Case_PrimaryPersonId": _some(legacy, "case", "contact", "contact"),
        "Case_AssignedUserId": _some(legacy, "case", "owner", "user"),
        "Case_ReferenceId": joined("1-", as_text(numbers + 100)),
        "Case_Description": legacy.text("case", "subject", ["Pump leaks", "设备故障"]),
        "Case_ProblemType": legacy.text("case", "type", ["Defect", "Query", ""]),
        "Case_ProblemNote": legacy.notes("case"),
        "Case_SolutionNote": legacy.notes("case"),
        "Case_Priority": legacy.text("case", "priority", ["High", "Normal", "Low"]),
        "Case_Source": legacy.text("case", "origin", ["Phone", "Email"]),
        "Case_Opened": _local(legacy.instants("case")[0]),
        "Case_Closed": chosen(closed, _local(legacy.instants("case")[1]), None),
        "Case_Status": put(status, 0, "Z-OLD-17"),
        "Case_Stage": legacy.text("case", "stage", ["Logged", "Investigating", "Solved"]),
        **_audit(legacy, "case", "Case"),
    }


def _campaigns(legacy: Legacy) -> Columns:
    numbers = legacy.numbers("campaign")
    return {
        "Camp_CampaignId": _ints(numbers + 1),
        "Camp_Name": joined(legacy.text("campaign", "name", ["Trade fair", "展会"]), " ", as_text(numbers)),
        "Camp_Status": legacy.text("campaign", "status", ["Active", "Complete", ""]),
        "Camp_StartDate": joined(legacy.days("campaign", "start"), " 00:00:00"),
        "Camp_EndDate": joined(legacy.days("campaign", "end"), " 00:00:00"),
        **_audit(legacy, "campaign", "Camp"),
    }


def _communication(legacy: Legacy) -> Columns:
    """Appointments and tasks; each is about a company and a person by way of Comm_Link."""
    start = legacy.instants("task", "start")[0]
    about = legacy.index("task", "about", 3)
    return {
        "Comm_CommunicationId": _ints(legacy.numbers("task") + 1),
        "Comm_OpportunityId": _where(about == 0, _some(legacy, "task", "opportunity", "opportunity")),
        "Comm_CaseId": _where(about == 1, _some(legacy, "task", "case", "case")),
        "Comm_Type": legacy.text("task", "kind", ["Task", "Appointment"]),
        "Comm_Action": legacy.text("task", "action", ["PhoneOut", "PhoneIn", "EmailOut", "Meeting", "ToDo"]),
        "Comm_Status": legacy.text("task", "status", ["Pending", "Complete", "Cancelled"]),
        "Comm_Priority": legacy.text("task", "priority", ["High", "Normal", "Low"]),
        "Comm_Subject": legacy.text("task", "subject", ["Call", "回访", ""]),
        "Comm_Note": legacy.notes("task"),
        "Comm_DateTime": _local(start),
        "Comm_ToDateTime": _local(start + 3600),
        **_audit(legacy, "task", "Comm"),
    }


def _comm_link(legacy: Legacy) -> Columns:
    return {
        "CmLi_CommLinkId": _ints(legacy.numbers("task") + 1),
        "CmLi_Comm_CommunicationId": _ints(legacy.numbers("task") + 1),
        "CmLi_Comm_UserId": _some(legacy, "task", "owner", "user"),
        "CmLi_Comm_PersonId": _some(legacy, "task", "contact", "contact", 0.7),
        "CmLi_Comm_CompanyId": _some(legacy, "task", "account", "account"),
        "CmLi_Deleted": pa.nulls(legacy.count("task"), pa.int64()),
    }


def _notes(legacy: Legacy) -> Columns:
    company = legacy.index("note", "about", 2) == 0
    return {
        "Note_NoteId": _ints(legacy.numbers("note") + 1),
        "Note_ForeignTableId": _ints(np.where(company, int(COMPANY), int(PERSON))),
        "Note_ForeignId": pa.compute.if_else(
            pa.array(company), _some(legacy, "note", "account", "account"), _some(legacy, "note", "contact", "contact")
        ),
        "Note_Note": legacy.text("note", "body", ["They want a quote.\nSoon.", "客户很满意"]),
        **_audit(legacy, "note", "Note"),
    }  # fmt: skip


def _library(legacy: Legacy) -> Columns:
    numbers = legacy.numbers("file")
    return {
        "Libr_LibraryId": _ints(numbers + 1),
        "Libr_CompanyId": _some(legacy, "file", "account", "account"),
        "Libr_PersonId": _some(legacy, "file", "contact", "contact", 0.5),
        "Libr_OpportunityId": _some(legacy, "file", "opportunity", "opportunity", 0.3),
        "Libr_CaseId": _some(legacy, "file", "case", "case", 0.3),
        "Libr_UserId": _some(legacy, "file", "owner", "user"),
        "Libr_FilePath": joined("Company\\", as_text(numbers)),
        "Libr_FileName": joined("offer", as_text(numbers), ".pdf"),
        "Libr_FileSize": _ints(numbers * 100 + 7),
        "Libr_Note": legacy.notes("file"),
        **_audit(legacy, "file", "Libr"),
    }


def _ints(numbers: Numbers) -> pa.Array:
    return pa.array(numbers.astype(np.int64))


def _some(legacy: Legacy, kind: str, what: str, target: str, share: float = 1.0) -> pa.Array:
    found = legacy.some(kind, what, target, share=share)
    return pa.array(found + 1, mask=found < 0)


def _where(mask: Numbers, column: pa.Array) -> pa.Array:
    return pa.compute.if_else(pa.array(mask), column, pa.scalar(None, pa.int64()))


def _orphan(column: pa.Array, number: int) -> pa.Array:
    here = np.arange(len(column)) == number
    return pa.compute.if_else(pa.array(here), pa.scalar(NOBODY, pa.int64()), column)


def _local(seconds: Numbers) -> pa.Array:
    """As the server in Shanghai wrote it."""
    return values.spaced(seconds + 8 * 3600)


def _audit(legacy: Legacy, kind: str, prefix: str) -> Columns:
    created, modified = legacy.instants(kind)
    deleted = chosen(legacy.deleted(kind), "1", None)
    return {
        f"{prefix}_CreatedBy": _some(legacy, kind, "creator", "user"),
        f"{prefix}_CreatedDate": _local(created),
        f"{prefix}_UpdatedBy": _some(legacy, kind, "modifier", "user"),
        f"{prefix}_UpdatedDate": _local(modified),
        f"{prefix}_Deleted": deleted.cast(pa.int64()),
    }
