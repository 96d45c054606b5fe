"""Salesforce metadata in both forms: each kind of file becomes what it is, versions of a flow are one, nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.salesforce_metadata import READER
from migrator.core.components import ComponentKind, ComponentState, Direction, NotUnderstood
from migrator.core.progress import Quiet
from migrator.inventory.links import MOST_OWNERS
from migrator.inventory.scan import Item, Scan, scan
from migrator.testing.synthetic.metadata import Extent, package, sfdx, write_tree, write_zipped

ROOT = "force-app/main/default"
SMALL = Extent(objects=2, fields=8, classes=4, profiles=1)


def xml(root: str, body: str) -> str:
    return f'<?xml version="1.0"?>\n<{root} xmlns="http://soap.sforce.com/2006/04/metadata">\n{body}\n</{root}>\n'


def scanned(folder: Path, files: dict[str, str]) -> Scan:
    found = scan(READER, write_tree(folder, files), "old", Quiet())
    assert found.account.closes
    return found


def by_id(found: Scan) -> dict[str, Item]:
    return {item.id.removeprefix("old/"): item for item in found.items}


def only(folder: Path, path: str, text: str) -> Item:
    return next(item for item in scanned(folder, {path: text}).items)


def test_both_forms_give_the_same_components(tmp_path: Path) -> None:
    source = by_id(scanned(tmp_path / "sfdx", sfdx(SMALL)))
    older = by_id(scanned(tmp_path / "mdapi", package(SMALL)))
    packed = by_id(scan(READER, write_zipped(tmp_path / "old.zip", package(SMALL)), "old", Quiet()))
    assert older.keys() - source.keys() == {"PackageManifest/src/package.xml"}
    assert packed.keys() == older.keys()
    assert {one: source[one].component.kind for one in source} == {
        one: older[one].component.kind for one in source
    }
    assert (
        source["CustomField/Account.F0__c"].component.facts
        == older["CustomField/Account.F0__c"].component.facts
    )


def test_only_the_definition_says_which_version_of_a_flow_is_active(tmp_path: Path) -> None:
    flow = by_id(scanned(tmp_path, package(SMALL)))["Flow/Account_Saved"].component
    assert (flow.state, flow.size["versions"]) == (ComponentState.ACTIVE, 3)
    assert flow.file == "src/flows/Account_Saved-2.flow"
    assert len(flow.files) == 4
    assert flow.fires == ("Account/create", "Account/update")


@pytest.mark.parametrize(
    ("number", "state"),
    [("0", ComponentState.INACTIVE), ("", ComponentState.INACTIVE), ("9", ComponentState.UNKNOWN)],
)
def test_a_flow_whose_definition_names_no_version_that_is_there(
    tmp_path: Path, number: str, state: ComponentState
) -> None:
    files = {
        "src/package.xml": xml("Package", ""),
        "src/flows/F-1.flow": xml("Flow", "<label>F</label><status>Active</status>"),
        "src/flowDefinitions/F.flowDefinition": xml(
            "FlowDefinition", f"<activeVersionNumber>{number}</activeVersionNumber>" if number else ""
        ),
    }
    flow = by_id(scanned(tmp_path, files))["Flow/F"].component
    assert flow.state is state
    assert "no active version" in flow.findings


def test_what_is_odd_about_a_flow_is_told(tmp_path: Path) -> None:
    nodes = "<assignments><name>A</name></assignments>" * 101
    body = f"{nodes}<runInMode>SystemModeWithoutSharing</runInMode><status>Active</status>"
    flow = only(tmp_path, f"{ROOT}/flows/Big.flow-meta.xml", xml("Flow", body)).component
    assert flow.findings == ("101 nodes", "runs in system mode without sharing")


def test_process_builder_and_workflow_rules_are_no_longer_supported(tmp_path: Path) -> None:
    builder = xml(
        "Flow",
        "<processType>Workflow</processType><status>Active</status>"
        "<processMetadataValues><name>ObjectType</name><value><stringValue>Case</stringValue></value></processMetadataValues>"
        "<processMetadataValues><name>TriggerType</name><value><stringValue>onAllChanges</stringValue></value>"
        "</processMetadataValues>",
    )
    rule = xml(
        "Workflow",
        "<rules><fullName>R</fullName><active>true</active><triggerType>onCreateOnly</triggerType>"
        "<workflowTimeTriggers><timeLength>1</timeLength></workflowTimeTriggers></rules>",
    )
    found = by_id(
        scanned(
            tmp_path,
            {f"{ROOT}/flows/B.flow-meta.xml": builder, f"{ROOT}/workflows/Case.workflow-meta.xml": rule},
        )
    )
    process, workflow = found["Flow/B"].component, found["WorkflowRule/Case.R"].component
    assert process.legacy == workflow.legacy != ""
    assert process.fires == ("Case/create", "Case/update")
    assert workflow.fires == ("Case/create",)
    assert workflow.findings == ("does nothing: no action", "a time trigger without an action")


def test_the_facts_and_marks_of_a_field(tmp_path: Path) -> None:
    body = """<fullName>Tier__c</fullName><label>等级</label><type>Picklist</type><required>true</required>
<securityClassification>Restricted</securityClassification><complianceGroup>PII;GDPR</complianceGroup>
<businessStatus>DeprecateCandidate</businessStatus><encryptionScheme>ProbabilisticEncryption</encryptionScheme>
<valueSet><controllingField>Type</controllingField><restricted>true</restricted><valueSetDefinition>
<value><fullName>A</fullName><default>true</default></value><value><fullName>B</fullName><default>false</default></value>
</valueSetDefinition></valueSet>"""
    field = only(
        tmp_path, f"{ROOT}/objects/Account/fields/Tier__c.field-meta.xml", xml("CustomField", body)
    ).component
    assert (field.name, field.owner, field.label, field.kind) == (
        "Account.Tier__c",
        "Account",
        "等级",
        ComponentKind.FIELD,
    )
    assert field.facts == {
        "type": "Picklist", "required": "true", "depends_on": "Type", "restricted": "true", "default": "A"
    }  # fmt: skip
    assert field.size == {"values": 2}
    assert field.marks == {
        "classification": "Restricted", "compliance": "PII;GDPR", "business status": "DeprecateCandidate",
        "encrypted": "ProbabilisticEncryption",
    }  # fmt: skip


KINDS = [
    ("assignmentRules/Case.assignmentRules", "AssignmentRules", "<assignmentRule><fullName>A</fullName><active>false</active></assignmentRule>",
     "AssignmentRule/Case.A", ComponentKind.ASSIGNMENT, ComponentState.INACTIVE),
    ("approvalProcesses/Account.Big.approvalProcess", "ApprovalProcess", "<active>true</active><approvalStep/>",
     "ApprovalProcess/Account.Big", ComponentKind.APPROVAL, ComponentState.ACTIVE),
    ("sharingRules/Case.sharingRules", "SharingRules", "<sharingOwnerRules><fullName>S</fullName></sharingOwnerRules>",
     "SharingOwnerRule/Case.S", ComponentKind.SHARING, ComponentState.ACTIVE),
    ("duplicateRules/Lead.Std.duplicateRule", "DuplicateRule", "<isActive>false</isActive>",
     "DuplicateRule/Lead.Std", ComponentKind.VALIDATION, ComponentState.INACTIVE),
    ("layouts/Account-%E5%AE%A2%E6%88%B7.layout", "Layout", "<layoutItems><field>Name</field></layoutItems>",
     "Layout/Account-客户", ComponentKind.LAYOUT, ComponentState.ACTIVE),
    ("globalValueSets/Tier.globalValueSet", "GlobalValueSet", "<customValue><fullName>A</fullName></customValue>",
     "GlobalValueSet/Tier", ComponentKind.VALUE_SET, ComponentState.ACTIVE),
    ("permissionsets/Sales.permissionset", "PermissionSet", "<label>Sales</label>",
     "PermissionSet/Sales", ComponentKind.PERMISSION, ComponentState.ACTIVE),
    ("reports/Sales/Won.report", "Report", "<name>Won</name>", "Report/Sales/Won", ComponentKind.REPORT, ComponentState.ACTIVE),
    ("objectTranslations/Account-zh_CN/Tier__c.fieldTranslation", "CustomFieldTranslation", "<label>等级</label>",
     "CustomFieldTranslation/Account-zh_CN.Tier__c", ComponentKind.TRANSLATION, ComponentState.ACTIVE),
    ("objects/Case/recordTypes/Gold.recordType", "RecordType", "<active>false</active>",
     "RecordType/Case.Gold", ComponentKind.RECORD_TYPE, ComponentState.INACTIVE),
    ("emailTemplates/F/Hi.emailTemplate", "EmailTemplate", "<name>Hi</name>",
     "EmailTemplate/F/Hi", ComponentKind.NOTIFICATION, ComponentState.ACTIVE),
    ("connectedApps/OA.connectedApp", "ConnectedApp", "<label>OA</label>",
     "ConnectedApp/OA", ComponentKind.INTEGRATION_IN, ComponentState.ACTIVE),
    ("remoteSiteSettings/ERP.remoteSite", "RemoteSiteSetting", "<isActive>false</isActive><url>https://erp.example.com</url>",
     "RemoteSiteSetting/ERP", ComponentKind.INTEGRATION_OUT, ComponentState.INACTIVE),
    ("analyticSnapshots/Nightly.snapshot", "AnalyticSnapshot", "<name>Nightly</name>",
     "AnalyticSnapshot/Nightly", ComponentKind.SCHEDULED_JOB, ComponentState.ACTIVE),
    ("workflows/Case/workflowRules/Old.workflowRule", "WorkflowRule", "<fullName>Old</fullName><active>true</active>",
     "WorkflowRule/Case.Old", ComponentKind.AUTOMATION, ComponentState.ACTIVE),
    ("labels/CustomLabels/Hi.label", "CustomLabel", "<fullName>Hi</fullName>",
     "CustomLabel/Hi", ComponentKind.TRANSLATION, ComponentState.ACTIVE),
    ("bots/Helper.bot", "Bot", "<label>Helper</label>", "bot/Helper", ComponentKind.OTHER, ComponentState.ACTIVE),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "root", "body", "name", "kind", "state"), KINDS, ids=[row[3] for row in KINDS]
)
def test_every_kind_of_file(
    tmp_path: Path, path: str, root: str, body: str, name: str, kind: ComponentKind, state: ComponentState
) -> None:
    item = only(tmp_path, f"{ROOT}/{path}-meta.xml", xml(root, body))
    assert item.id == f"old/{name}"
    assert (item.component.kind, item.component.state) == (kind, state)


def test_code_tells_when_it_runs_and_whom_it_calls(tmp_path: Path) -> None:
    files = {
        f"{ROOT}/triggers/T.trigger": "trigger T on Order (before insert, after update) { Erp.send(Trigger.new); }",
        f"{ROOT}/triggers/T.trigger-meta.xml": xml("ApexTrigger", "<status>Inactive</status>"),
        f"{ROOT}/classes/Erp.cls": "@RestResource(urlMapping='/orders/*')\nglobal class Erp {\n"
        "  // new HttpRequest in a comment is none\n  void a() { q.setEndpoint('https://u:p@erp.example.com/x?token=1'); }\n}\n",
        f"{ROOT}/classes/Erp.cls-meta.xml": xml("ApexClass", "<status>Active</status>"),
    }
    found = by_id(scanned(tmp_path, files))
    trigger, code = found["ApexTrigger/T"], found["ApexClass/Erp"]
    assert (trigger.component.state, trigger.component.owner) == (ComponentState.INACTIVE, "Order")
    assert trigger.component.fires == ("Order/create", "Order/update")
    assert [one.id for one in code.used_by] == ["old/ApexTrigger/T"]
    told = [(call.direction, call.endpoint, call.place) for call in code.component.calls]
    assert told == [
        (Direction.IN, "/orders/*", f"{ROOT}/classes/Erp.cls:1"),
        (Direction.OUT, "https://erp.example.com/x", f"{ROOT}/classes/Erp.cls:4"),
    ]
    assert [one.text for one in code.literals] == ["https://erp.example.com/x"]


def test_hard_coded_ids_are_told_with_their_place(tmp_path: Path) -> None:
    code = "class A {\n  Id a = '001D000000IRFmaIAH';\n  Id b = '00530000003mJkE'; String c = 'abcde0fghijklmn';\n}"
    item = only(tmp_path, f"{ROOT}/classes/A.cls", code)
    assert [(one.text, one.place.rpartition(":")[2]) for one in item.literals] == [
        ("001D000000IRFmaIAH", "2"), ("00530000003mJkE", "3"),
    ]  # fmt: skip


def test_a_field_is_seen_by_its_bare_name_too(tmp_path: Path) -> None:
    field = xml("CustomField", "<fullName>Tier__c</fullName><type>Text</type>")
    files = {
        f"{ROOT}/objects/Account/fields/Tier__c.field-meta.xml": field,
        f"{ROOT}/objects/Contact/fields/Tier__c.field-meta.xml": field,
        f"{ROOT}/objects/Account/Account.object-meta.xml": xml("CustomObject", ""),
        f"{ROOT}/objects/Contact/Contact.object-meta.xml": xml("CustomObject", ""),
        f"{ROOT}/layouts/Contact-L.layout-meta.xml": xml("Layout", "<field>Tier__c</field>"),
        f"{ROOT}/classes/Q.cls": "class Q { void a() { x = [SELECT Account.Tier__c FROM Contact]; } }",
        f"{ROOT}/classes/V.cls": "class V { void a(SObject s) { s.Tier__c = null; } }",
        f"{ROOT}/classes/W.cls": "class W { void a(Contact c) { it.Tier__c = null; } }",
    }
    found = by_id(scanned(tmp_path, files))
    of_account = {one.id: one.sure for one in found["CustomField/Account.Tier__c"].used_by}
    of_contact = {one.id: one.sure for one in found["CustomField/Contact.Tier__c"].used_by}
    assert of_account == {"old/ApexClass/Q": True, "old/ApexClass/V": False, "old/ApexClass/W": False}
    assert of_contact == {"old/Layout/Contact-L": True, "old/ApexClass/V": False, "old/ApexClass/W": True}


def test_a_name_that_every_object_has_is_kept_once_and_still_seen(tmp_path: Path) -> None:
    field = xml("CustomField", "<fullName>State__c</fullName>")
    files = {f"{ROOT}/objects/O{n}__c/fields/State__c.field-meta.xml": field for n in range(MOST_OWNERS + 5)}
    files |= {
        f"{ROOT}/objects/O{n}__c/O{n}__c.object-meta.xml": xml("CustomObject", "")
        for n in range(MOST_OWNERS + 5)
    }
    files |= {
        f"{ROOT}/flows/F{n}.flow-meta.xml": xml("Flow", "<status>Draft</status><a>State__c</a>")
        for n in range(30)
    }
    files[f"{ROOT}/flows/Live.flow-meta.xml"] = xml("Flow", "<status>Active</status><a>State__c</a>")
    files[f"{ROOT}/flows/Own.flow-meta.xml"] = xml("Flow", "<a>O3__c</a><a>State__c</a>")
    found = by_id(scanned(tmp_path, files))
    any_of_them, third = found["CustomField/O1__c.State__c"], found["CustomField/O3__c.State__c"]
    assert any_of_them.used_by_count == 31
    assert (any_of_them.used_by[0].id, any_of_them.used_by[0].sure) == ("old/Flow/Live", False), (
        "the active one is not hidden"
    )
    assert (third.used_by[0].id, third.used_by[0].sure, third.used_by_count) == ("old/Flow/Own", True, 32)


def test_a_permission_set_that_was_taken_apart_is_one(tmp_path: Path) -> None:
    folder = f"{ROOT}/permissionsets/Sales"
    files = {
        f"{folder}/Sales.fieldPermissions-meta.xml": xml(
            "PermissionSet", "<fieldPermissions><field>Account.Tier__c</field></fieldPermissions>"
        ),
        f"{folder}/Sales.permissionset-meta.xml": xml("PermissionSet", "<label>Sales</label>"),
        f"{folder}/objectSettings/Account.objectSettings-meta.xml": xml(
            "PermissionSet", "<objectPermissions/>"
        ),
        f"{ROOT}/objects/Account/fields/Tier__c.field-meta.xml": xml(
            "CustomField", "<fullName>Tier__c</fullName>"
        ),
    }
    found = by_id(scanned(tmp_path, files))
    part = found["PermissionSet/Sales"]
    assert (part.component.label, len(part.component.files)) == ("Sales", 3)
    assert [one.id for one in part.uses] == ["old/CustomField/Account.Tier__c"]


def test_a_broken_file_is_told_and_its_component_stays_unread(tmp_path: Path) -> None:
    found = scanned(
        tmp_path, {f"{ROOT}/flows/Bad.flow-meta.xml": "<Flow><status>Active</Flow>", "notes.txt": "hello"}
    )
    (item,) = found.items
    assert "mismatched tag" in item.component.unread
    assert item.component.files == ()
    assert found.account.blind == (f"{ROOT}/flows/Bad.flow-meta.xml",)
    assert (
        NotUnderstood("notes.txt", "no metadata: nothing is known of .txt files here")
        in found.account.not_understood
    )


def test_entities_are_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE F [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Flow><label>&b;</label></Flow>'
    found = scanned(tmp_path, {f"{ROOT}/flows/F.flow-meta.xml": bomb})
    assert "declares the entity" in found.account.not_understood[0].reason
