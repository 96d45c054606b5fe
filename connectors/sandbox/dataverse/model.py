"""The tables a Dataverse sandbox begins with: what companies keep in Dynamics 365, cut to what migrations touch.

Every table that is loaded has the column `new_legacyid` with an alternate key, as a consultant would add it.
"""

from __future__ import annotations

from collections.abc import Iterable

from connectors.sandbox.shape import DuplicateRule
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

LEGACY = "new_legacyid"
_STATES = {"0": "Active", "1": "Inactive"}
_STATUSES = {"1": "Active", "2": "Inactive"}
_CASES = (
    {"0": "Active", "1": "Resolved", "2": "Cancelled"},
    {"1": "In Progress", "5": "Problem Solved", "6": "Cancelled"},
)
_DEALS = (
    {"0": "Open", "1": "Won", "2": "Lost"},
    {"1": "In Progress", "2": "On Hold", "3": "Won", "4": "Canceled", "5": "Out-Sold"},
)
_TASKS = (
    {"0": "Open", "1": "Completed", "2": "Canceled"},
    {"2": "Not Started", "3": "In Progress", "5": "Completed", "6": "Canceled"},
)
_REGARDED = ("account", "contact", "lead", "opportunity", "incident")
INDUSTRIES = {"1": "Accounting", "6": "Consulting", "7": "Consumer Services", "20": "Insurance"}


def _text(name: str, label: str, length: int = 100, *, required: bool = False) -> FieldSchema:
    return FieldSchema(name, FieldType.STRING, label, length=length, required=required)


def _memo(name: str, label: str) -> FieldSchema:
    return FieldSchema(name, FieldType.TEXT, label, length=2_000)


def _money(name: str, label: str) -> FieldSchema:
    return FieldSchema(name, FieldType.DECIMAL, label, precision=19, scale=4)


def _to(name: str, label: str, *targets: str) -> FieldSchema:
    return FieldSchema(name, FieldType.REFERENCE, label, references=targets)


def _choice(name: str, label: str, options: dict[str, str]) -> FieldSchema:
    return FieldSchema(name, FieldType.PICKLIST, label, values=tuple(options), labels=options)


def _of(name: str, type_: FieldType, label: str) -> FieldSchema:
    return FieldSchema(name, type_, label)


def _table(
    name: str,
    label: str,
    fields: Iterable[FieldSchema],
    *,
    key: str = "",
    states: tuple[dict[str, str], dict[str, str]] = (_STATES, _STATUSES),
    owned: bool = True,
) -> ObjectSchema:
    """A table with the columns that every table has."""
    own = [FieldSchema(key or f"{name}id", FieldType.ID, label, required=True, unique=True), *fields]
    own += [_choice("statecode", "Status", states[0]), _choice("statuscode", "Status Reason", states[1])]
    if owned:
        own += [_to("ownerid", "Owner", "systemuser", "team"), _text(LEGACY, "Legacy Id")]
        own += [FieldSchema("importsequencenumber", FieldType.INTEGER, "Import Sequence Number")]
        own += [FieldSchema("overriddencreatedon", FieldType.DATETIME, "Record Created On")]
    own += [
        FieldSchema("createdon", FieldType.DATETIME, "Created On", read_only=True),
        FieldSchema("modifiedon", FieldType.DATETIME, "Modified On", read_only=True),
        FieldSchema("versionnumber", FieldType.INTEGER, "Version Number", read_only=True),
    ]
    return ObjectSchema(name, key or f"{name}id", tuple(own), label)


def _activity(name: str, label: str, fields: Iterable[FieldSchema]) -> ObjectSchema:
    own = [
        _text("subject", "Subject", 200),
        _memo("description", "Description"),
        _to("regardingobjectid", "Regarding", *_REGARDED),
        _of("scheduledend", FieldType.DATETIME, "Due Date"),
        *fields,
    ]
    return _table(name, label, own, key="activityid", states=_TASKS)


TABLES = (
    _table("systemuser", "User", [_text("fullname", "Full Name", 200), _text("internalemailaddress", "Email"),
        _of("isdisabled", FieldType.BOOLEAN, "Disabled")], owned=False),
    _table("team", "Team", [_text("name", "Team Name", 160)], owned=False),
    _table("transactioncurrency", "Currency", [_text("currencyname", "Name"), _text("isocurrencycode", "Code", 5)], owned=False),
    _table("account", "Account", [
        _text("name", "Account Name", 160, required=True), _text("accountnumber", "Account Number", 20),
        _text("telephone1", "Main Phone", 50), _text("emailaddress1", "Email"), _text("websiteurl", "Website", 200),
        _text("address1_line1", "Street", 250), _text("address1_city", "City", 80), _text("address1_country", "Country", 80),
        _memo("description", "Description"), _money("revenue", "Annual Revenue"),
        _of("numberofemployees", FieldType.INTEGER, "Employees"), _of("creditonhold", FieldType.BOOLEAN, "Credit Hold"),
        _choice("industrycode", "Industry", INDUSTRIES),
        FieldSchema("new_interests", FieldType.MULTI_PICKLIST, "Interests", values=tuple(INDUSTRIES), labels=INDUSTRIES),
        _of("new_foundedon", FieldType.DATE, "Founded On"), _of("new_ratio", FieldType.FLOAT, "Ratio"),
        _of("new_contract", FieldType.FILE, "Contract"), _text("new_contract_name", "Contract (file name)", 255),
        _to("parentaccountid", "Parent Account", "account"), _to("primarycontactid", "Primary Contact", "contact"),
        _to("transactioncurrencyid", "Currency", "transactioncurrency"),
    ]),
    _table("contact", "Contact", [
        _text("firstname", "First Name", 50), _text("lastname", "Last Name", 50, required=True),
        _text("emailaddress1", "Email"), _text("telephone1", "Business Phone", 50), _text("mobilephone", "Mobile", 50),
        _text("jobtitle", "Job Title"), _of("birthdate", FieldType.DATE, "Birthday"), _memo("description", "Description"),
        _of("donotemail", FieldType.BOOLEAN, "Do not allow Emails"), _to("parentcustomerid", "Company Name", "account", "contact"),
    ]),
    _table("lead", "Lead", [_text("subject", "Topic", 300), _text("lastname", "Last Name", 50), _text("firstname", "First Name", 50),
        _text("companyname", "Company"), _text("emailaddress1", "Email")],
        states=({"0": "Open", "1": "Qualified", "2": "Disqualified"}, {"1": "New", "2": "Contacted", "3": "Qualified", "4": "Lost"})),
    _table("opportunity", "Opportunity", [
        _text("name", "Topic", 300, required=True), _to("customerid", "Potential Customer", "account", "contact"),
        _money("estimatedvalue", "Est. Revenue"), _of("estimatedclosedate", FieldType.DATE, "Est. Close Date"),
        _memo("description", "Description"), _to("transactioncurrencyid", "Currency", "transactioncurrency"),
    ], states=_DEALS),
    _table("incident", "Case", [_text("title", "Case Title", 200, required=True), _text("ticketnumber", "Case Number"),
        _to("customerid", "Customer", "account", "contact"), _memo("description", "Description")], states=_CASES),
    _activity("task", "Task", [_choice("prioritycode", "Priority", {"0": "Low", "1": "Normal", "2": "High"})]),
    _activity("email", "Email", [_of("from", FieldType.JSON, "From"), _of("to", FieldType.JSON, "To"), _of("cc", FieldType.JSON, "Cc"),
        _of("directioncode", FieldType.BOOLEAN, "Direction")]),
    _table("annotation", "Note", [_text("subject", "Title", 500), _memo("notetext", "Text"), _text("filename", "File Name", 255),
        _text("mimetype", "Mime Type", 256), _of("isdocument", FieldType.BOOLEAN, "Is Document"),
        FieldSchema("documentbody", FieldType.TEXT, "Document"), _to("objectid", "Regarding", *_REGARDED)]),
)  # fmt: skip
PARTY = ObjectSchema(
    "activityparty",
    "activitypartyid",
    (
        FieldSchema("activitypartyid", FieldType.ID, "Activity Party"),
        _to("activityid", "Activity", "email", "task"),
        _to("partyid", "Party", "account", "contact", "lead", "systemuser"),
        FieldSchema("participationtypemask", FieldType.INTEGER, "Participation Type"),
        _text("addressused", "Address", 200),
        FieldSchema("modifiedon", FieldType.DATETIME, "Modified On", read_only=True),
    ),
    "Activity Party",
)
KEYS = {"account": ("accountnumber",)}
"""Alternate keys beside that of the legacy id."""
DUPLICATES = {"contact": (DuplicateRule("Contacts with the same e-mail address", ("emailaddress1",)),)}
"""Duplicate detection rules; they speak only when a request asks for them."""
UNTRACKED = frozenset({"annotation"})
"""Tables whose change tracking is off."""
MASKS = {"from": 1, "to": 2, "cc": 3}
OPEN_STATUS = {"opportunity": "1", "incident": "1", "task": "2", "email": "2"}
"""statuscode of a new record; 1 where it is not named."""
CLOSED = {"WinOpportunity": ("opportunity", "1", "3"), "LoseOpportunity": ("opportunity", "2", "4"),
          "CloseIncident": ("incident", "1", "5")}  # fmt: skip
"""Action → table, statecode, and the statuscode that -1 stands for."""


def set_name(table: str) -> str:
    """What a table is called in addresses."""
    if table.endswith("y"):
        return f"{table[:-1]}ies"
    return f"{table}es" if table.endswith(("s", "x", "ch")) else f"{table}s"


def navigation(table: str, column: str, target: str, count: int) -> str:
    """The navigation property of a look-up; custom ones are spelt as their schema name."""
    if column == "ownerid":
        return "ownerid"
    if column == "regardingobjectid":
        return f"regardingobjectid_{target}_{table}"
    named = _schema_name(column) if "_" in column else column
    return named if count == 1 else f"{named}_{target}"


def _schema_name(column: str) -> str:
    prefix, _, rest = column.partition("_")
    return f"{prefix}_{rest[:1].upper()}{rest[1:]}"
