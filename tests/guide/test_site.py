"""The built site (`nox -s docs`): links lead somewhere, everything public is described, and a browser shows it."""

from __future__ import annotations

import importlib
import os
import re
import shutil
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import hepaa

if "HEPAA_SITE" not in os.environ:
    pytest.skip("`nox -s docs` builds the site that these tests look at", allow_module_level=True)
SITE = Path(os.environ["HEPAA_SITE"])
PAGES = sorted(page for page in SITE.rglob("*.html") if "_static" not in page.parts)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--allow-file-access-from-files"]  # fmt: skip


class Parsed(HTMLParser):
    """Links, sources of images, and names that links may lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.names |= {values[key] for key in ("id", "name") if values.get(key)}
        self.links += [values[key] for key in ("href", "src") if values.get(key)]


@cache
def parsed(page: Path) -> Parsed:
    return Parsed(page.read_text(encoding="utf-8"))


def test_every_internal_link_leads_somewhere():
    broken = []
    for page in PAGES:
        for link in parsed(page).links:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (page.parent / unquote(url.path)).resolve() if url.path else page
            names = parsed(target).names if target.suffix == ".html" and target.exists() else {unquote(url.fragment)}
            if not target.exists() or (url.fragment and unquote(url.fragment) not in names):
                broken.append(f"{page.name}: {link}")
    assert broken == []


def test_nothing_is_loaded_from_elsewhere():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"<(?:script|img|iframe)[^>]+src=\"https?:[^\"]+", text) == [], page.name
        assert re.findall(r"<link[^>]+stylesheet[^>]+href=\"https?:[^\"]+", text) == [], page.name


def test_everything_public_is_described():
    names = set().union(*(parsed(page).names for page in PAGES if page.parent.name == "reference"))
    for package in ("hepaa", "hepaa.search", "hepaa.batch", "hepaa.features"):
        for name in importlib.import_module(package).__all__:
            if callable(getattr(importlib.import_module(package), name)) and name != "features":
                assert f"{package}.{name}" in names
    assert {f"hepaa.{name}" for name in ("stats.significance.asimov", "plots.scores.roc", "EventTable.save")} <= names
    assert {f"hepaa-{command}" for command in ("run", "search", "batch-submit")} <= names


def test_every_figure_is_in_the_gallery_with_its_script():
    root = Path(hepaa.__file__).parents[1] / "analyses" / "figures"
    text = (SITE / "gallery.html").read_text(encoding="utf-8")
    for figure in root.glob("*.png"):
        assert f"{figure.name}" in text
    assert re.findall(r"<img[^>]+>(?:(?!<img).)*Made by", text, re.DOTALL)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_browser_shows_every_page_at_every_width():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if executable is None:
        pytest.skip(f"no browser ({', '.join(BROWSERS)}) is installed")
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=executable, args=QUIET)
        for width in (400, 1600):
            view = chromium.new_page(viewport={"width": width, "height": 900})
            asked: list[str] = []
            view.on("request", lambda request, asked=asked: asked.append(request.url))
            for page in PAGES:
                view.goto(page.as_uri())
                assert view.evaluate("document.documentElement.scrollWidth") <= width, (page.name, width)
                view.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
                drawn = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
                view.wait_for_function(drawn, timeout=10_000)
            assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
            view.close()
        view = chromium.new_page()
        view.goto(f"{(SITE / 'search.html').as_uri()}?q=asimov")
        view.wait_for_selector("#search-results li a", timeout=20_000)
        assert any("significance" in text for text in view.locator("#search-results li").all_inner_texts())
        chromium.close()
