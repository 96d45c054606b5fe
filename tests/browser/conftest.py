"""Chromium as Debian ships it, and one report a person could open: drawn once, in every language."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.unit.test_validation_report import closed_account, run
from tests.unit.validation_project import make_project
from validation.documents import write_documents
from validation.messages import LANGUAGES

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same report in every language: two objects, one of them with faults, the other without."""
    project = make_project(tmp_path_factory.mktemp("browser"), accounts=40, contacts=20)
    rows = project.target.objects["customer"]
    rows[:] = [row for row in rows if row["legacy_id"] != "A00011"]
    project.record("customer", "A00012")["Order"] = "名称很长" * 20
    folder = run(project, closed_account(project)).html.parent
    return {name: write_documents(folder, name, ["html"])["html"] for name in LANGUAGES}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of a process."""
    binary = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if binary is None:
        pytest.skip("chromium is not installed: apt-get install chromium (make test does it as root)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, headless=True, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page that cannot reach anything; the scripts of the accessibility check may run in it."""
    context = chromium.new_context(
        viewport={"width": 1280, "height": 900}, offline=True, bypass_csp=True, service_workers="block"
    )
    yield context.new_page()
    context.close()
