"""The documentation as a site: every link leads somewhere, and it needs neither a server nor a network."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from conftest import ROOT

pytest.importorskip("mkdocs")

from mkdocs.commands.build import build
from mkdocs.config import load_config

from desert_seg_train.cli import COMMANDS, config_of


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site. A warning, as of a dead link or of a page that no menu has, makes mkdocs raise."""
    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(folder)))
    return folder


def test_make_docs_empties_no_folder_that_a_command_writes_to():
    built = Path(load_config(str(ROOT / "mkdocs.yml")).site_dir).relative_to(ROOT)
    written = {item.default for name in COMMANDS for item in fields(config_of(name)) if item.name == "out"}
    assert Path("out/site") in written
    assert built not in written


def test_every_page_is_there_without_a_warning(site):
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert pages <= {path.relative_to(site) for path in site.rglob("*.html")}


def test_pages_load_nothing_from_the_network(site):
    for page in site.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\ssrc=[\"']?([^\"' >]+)", text)
        loaded += re.findall(
            r"<link\b[^>]*\srel=[\"']?(?:stylesheet|preconnect|icon)[^>]*\shref=[\"']?([^\"' >]+)", text
        )
        loaded += re.findall(
            r"<link\b[^>]*\shref=[\"']?([^\"' >]+)[^>]*\srel=[\"']?(?:stylesheet|preconnect|icon)", text
        )
        assert loaded
        assert [address for address in loaded if re.match(r"(?:https?:)?//", address)] == [], page.name
    assert "unpkg.com/iframe-worker" not in "".join(page.read_text() for page in site.rglob("*.html"))


def test_the_search_finds_a_parameter_without_a_server(site):
    index = (site / "search" / "search_index.js").read_text()
    entries = json.loads(index.removeprefix("var __index = "))["docs"]
    assert any("latency_budget_ms" in entry["text"] and "parameters" in entry["location"] for entry in entries)
    assert (site / "assets" / "iframe-worker.js").is_file()
