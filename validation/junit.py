"""The checks as JUnit XML, for a build server: one suite an object, one case a check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from validation.messages import Catalogue
from validation.words import plain, say


def junit(content: Mapping[str, Any], text: Catalogue) -> str:
    """The report as JUnit XML: a failure fails, a check that broke is an error, a waived one is skipped, with reasons."""
    root = Element("testsuites", name=plain(content["project"]))
    waived = {item["check"]: item for item in content["waivers"]}
    for item in content["objects"]:
        cases = [check for check in content["checks"] if check["object"] == item["name"]]
        suite = SubElement(root, "testsuite", name=plain(item["name"]), timestamp=content["at"][:19])
        for check in cases:
            _case(suite, check, waived.get(check["id"]), text)
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(name, str(len(suite.findall(f"testcase/{tag}"))))
        suite.set("tests", str(len(cases)))
    body = tostring(root, encoding="unicode", short_empty_elements=True)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _case(
    suite: Element, check: Mapping[str, Any], waiver: Mapping[str, Any] | None, text: Catalogue
) -> None:
    name = "/".join(part for part in (check["rule"], check["subject"]) if part)
    case = SubElement(
        suite, "testcase", classname=plain(f"{check['object']}.{check['section']}"), name=plain(name)
    )
    said = plain(say(check, text))
    match check["status"]:
        case "fail":
            inner = SubElement(case, "failure", message=said, type=check["severity"])
            inner.text = "\n".join(plain(example["record"]) for example in check["examples"])
        case "could_not_check":
            SubElement(case, "error", message=said, type="could_not_check")
        case "waived":
            reason = text("waivers.of", **waiver) if waiver else ""
            SubElement(case, "skipped", message=plain(f"{said} · {reason}"))
        case "nothing_to_check":
            SubElement(case, "skipped", message=text("status.nothing_to_check"))
        case "warn":
            SubElement(case, "system-out").text = said
        case _:
            pass
