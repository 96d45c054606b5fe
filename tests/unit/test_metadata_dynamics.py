"""Dynamics solutions as zips and unpacked, managed or not: every element becomes what it is, and what is only named is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.dynamics_solution import READER
from migrator.core.components import ComponentKind, ComponentState, Direction
from migrator.core.progress import Quiet
from migrator.inventory.scan import Item, Scan, scan
from migrator.testing.synthetic.metadata import Extent, solution, write_tree, write_zipped

SMALL = Extent(objects=2, fields=5)


def by_id(found: Scan) -> dict[str, Item]:
    assert found.account.closes
    return {item.id.removeprefix("old/"): item for item in found.items}


@pytest.mark.parametrize("managed", [False, True])
def test_a_zip_of_a_solution(tmp_path: Path, managed: bool) -> None:
    path = write_zipped(tmp_path / "s.zip", solution(SMALL, managed=managed))
    found = by_id(scan(READER, path, "old", Quiet()))
    field = found["Attribute/new_thing0.new_f0"].component
    assert (field.kind, field.label, field.managed) == (ComponentKind.FIELD, "F 0", managed)
    assert field.marks == {"secured": "field security"}
    assert field.facts["length"] == "100"
    assert found["Form/new_thing0.Main"].component.size == {"fields": 1}
    assert [one.id for one in found["Attribute/new_thing0.new_f1"].used_by if one.kind is not ComponentKind.CODE or "Sdk" in one.id] == [
        "old/Form/new_thing0.Main", "old/SdkMessageProcessingStep/Rules: Update of new_thing0",
    ]  # fmt: skip


def test_flows_steps_and_assemblies_are_evidence_of_integrations(tmp_path: Path) -> None:
    found = by_id(scan(READER, write_tree(tmp_path, solution(SMALL)), "old", Quiet()))
    flow = found["CloudFlow/Tell ERP"]
    assert flow.component.state is ComponentState.ACTIVE
    assert len(flow.component.files) == 2
    told = {(call.direction, call.protocol, call.endpoint) for call in flow.component.calls}
    assert told == {
        (Direction.BOTH, "connector", "shared_sap"), (Direction.IN, "HTTP", "manual"),
        (Direction.OUT, "HTTP", "https://erp.example.com/api"),
    }  # fmt: skip
    step = found["SdkMessageProcessingStep/Rules: Update of new_thing0"].component
    assert step.fires == ("new_thing0/update",)
    assembly = found["PluginAssembly/Rules"]
    assert assembly.component.files == ("customizations.xml", "PluginAssemblies/Rules.dll")
    assert "old/Attribute/new_thing0.new_f3" in {one.id for one in assembly.uses}


def test_what_the_solution_names_and_does_not_bring_is_not_analysed(tmp_path: Path) -> None:
    found = by_id(scan(READER, write_tree(tmp_path, solution(SMALL)), "old", Quiet()))
    assert "not in this export" in found["WebResource/new_/lost.js"].component.unread
    manifest = found["Solution/Sales"].component
    assert manifest.facts["leans on"] == "FieldService (8.8)"
    assert manifest.findings == ("needs 1 components that it does not bring",)


UNPACKED = {
    "Other/Solution.xml": "<ImportExportXml><SolutionManifest><UniqueName>S</UniqueName><Managed>2</Managed></SolutionManifest></ImportExportXml>",
    "Other/Customizations.xml": "<ImportExportXml><Entities/><Languages><Language>1033</Language></Languages></ImportExportXml>",
    "Other/Relationships/account.xml": '<EntityRelationships><EntityRelationship Name="account_things">'
    "<EntityRelationshipType>OneToMany</EntityRelationshipType></EntityRelationship></EntityRelationships>",
    "Entities/Account/Entity.xml": '<Entity><Name LocalizedName="客户">Account</Name><EntityInfo><entity Name="Account"><attributes>'
    '<attribute PhysicalName="new_Tier"><Type>picklist</Type><LogicalName>new_tier</LogicalName><IsSecured>0</IsSecured></attribute>'
    "</attributes></entity></EntityInfo></Entity>",
    "Entities/Account/FormXml/main/{11111111-1111-1111-1111-111111111111}.xml": "<forms><systemform>"
    "<formid>{11111111-1111-1111-1111-111111111111}</formid><FormActivationState>0</FormActivationState>"
    '<form><control datafieldname="new_tier"/></form></systemform></forms>',
    "Entities/Account/RibbonDiff.xml": "<RibbonDiffXml><CustomActions/></RibbonDiffXml>",
    "Workflows/Old-22222222-2222-2222-2222-222222222222.xaml": "<Activity/>",
    "Workflows/Old-22222222-2222-2222-2222-222222222222.xaml.data.xml": '<Workflow WorkflowId="{22222222-2222-2222-2222-222222222222}" Name="Old">'
    "<XamlFileName>/Workflows/Old-22222222-2222-2222-2222-222222222222.xaml</XamlFileName><Category>0</Category><StateCode>0</StateCode>"
    "<TriggerOnCreate>1</TriggerOnCreate><PrimaryEntity>Account</PrimaryEntity></Workflow>",
    "WebResources/new_/a.js": "fetch('https://erp.example.com/a');",
    "WebResources/new_/a.js.data.xml": "<WebResource><Name>new_/a.js</Name><WebResourceType>3</WebResourceType></WebResource>",
    "Roles/Sales.xml": '<Role id="{33333333-3333-3333-3333-333333333333}" name="Sales"><RolePrivileges/></Role>',
    "maskingrules/m.xml": '<maskingrule uniquename="new_card"/>',
    "bots/new.xml": "<bot schemaname=\"new_bot\"><name>Bot</name></bot>",
    "CanvasApps/app.msapp": "PK\0\0",
    "src.cdsproj": "<Project/>",
}  # fmt: skip


def test_an_unpacked_solution(tmp_path: Path) -> None:
    found = by_id(scan(READER, write_tree(tmp_path, UNPACKED), "old", Quiet()))
    states = {name: item.component.state.value for name, item in found.items()}
    assert states["Workflow/Old"] == "draft"
    assert found["Workflow/Old"].component.fires == ("account/create",)
    assert len(found["Workflow/Old"].component.files) == 2
    form = found["Form/account.11111111-1111-1111-1111-111111111111"]
    assert form.component.state is ComponentState.INACTIVE
    assert [one.id for one in form.uses] == ["old/Attribute/account.new_tier"]
    assert found["Entity/account"].component.label == "客户"
    assert found["WebResource/new_/a.js"].component.kind is ComponentKind.CODE
    assert found["Role/Sales"].component.kind is ComponentKind.PERMISSION
    assert found["EntityRelationship/account_things"].component.facts["entityrelationshiptype"] == "OneToMany"
    assert found["CanvasApps/CanvasApps/app.msapp"].component.unread != ""
    assert found["bot/new_bot"].component.kind is ComponentKind.OTHER


def test_what_was_unpacked_in_both_forms_is_one_component(tmp_path: Path) -> None:
    form = "Entities/Account/FormXml/main/{11111111-1111-1111-1111-111111111111}"
    files = UNPACKED | {
        f"{form}_managed.xml": UNPACKED[f"{form}.xml"],
        "CanvasApps/new_app.meta.xml": "<CanvasApp><Name>new_app</Name><DocumentUri>/CanvasApps/new_app.msapp</DocumentUri></CanvasApp>",
        "CanvasApps/new_app.msapp": "PK\0\0",
        "PluginAssemblies/ServiceEndpoints.xml": '<ServiceEndpoints><ServiceEndpoint Name="Bus"><Url>sb://x</Url></ServiceEndpoint></ServiceEndpoints>',
    }
    found = by_id(scan(READER, write_tree(tmp_path, files), "old", Quiet()))
    forms = [item.component for name, item in found.items() if name.startswith("Form/")]
    assert [part.files for part in forms] == [(f"{form}.xml", f"{form}_managed.xml")]
    app = found["CanvasApp/new_app"].component
    assert app.files == ("CanvasApps/new_app.meta.xml", "CanvasApps/new_app.msapp")
    assert "packed" in app.unread
    assert found["ServiceEndpoint/Bus"].component.kind is ComponentKind.INTEGRATION_OUT


def test_the_schema_of_an_export(tmp_path: Path) -> None:
    files = {
        "data_schema.xml": '<entities><entity name="account" displayname="Account" disableplugins="true"><fields>'
        '<field displayname="Owner" name="ownerid" type="owner" lookupType="systemuser"/></fields></entity></entities>',
        "data.xml": "<entities/>",
        "[Content_Types].xml": "<Types/>",
    }
    assert READER.recognise(write_tree(tmp_path, files)) is not None
    found = by_id(scan(READER, tmp_path, "old", Quiet()))
    assert found.keys() == {"Entity/account", "Attribute/account.ownerid"}
    assert found["Attribute/account.ownerid"].component.facts["references"] == "systemuser"


def test_a_customizations_file_that_breaks_off_keeps_what_was_read(tmp_path: Path) -> None:
    whole = solution(SMALL)
    whole["customizations.xml"] = whole["customizations.xml"][:-200]
    found = by_id(scan(READER, write_tree(tmp_path, whole), "old", Quiet()))
    assert "Entity/new_thing1" in found
    assert "breaks off" in found["Customizations/rest of customizations.xml"].component.unread
