"""The page of a run: self-contained, escaped, complete; a real browser draws all of it, on narrow screens too."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
import yaml
from click.testing import CliRunner

from hepaa.cli import main
from hepaa.demo import path as demo_path
from hepaa.errors import InputError
from hepaa.report import figures, tables
from hepaa.report.page import write_report
from hepaa.report.saved import SavedRun

EVIL = "QCD <script>alert('x')</script> & \"dijets\""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run with every section of the page, and names that would break a page that does not escape."""
    place = tmp_path_factory.mktemp("report")
    content = yaml.safe_load(demo_path("lhco.yaml").read_text())
    for sample in content["samples"][:2]:
        sample["process"] = EVIL
    content |= {
        "name": "A <b>run</b> & more",
        "features": {"set": "dijet-hl"},
        "detectors": [
            {"name": "VAE <i>2</i>", "detector": "vae-lhco", "options": {"epochs": 2}},
            {"name": "Squares", "detector": "SumOfSquares", "flatten": "mjj"},
        ],
        "sculpting": {"mass": "mjj", "background_efficiency": 0.3, "toys": 50, "limit": 1.0},
        "systematics": [
            {"name": "generator", "kind": "generators"},
            {"name": "mass scale", "kind": "column", "up": {"mj1": 1.02, "dmj": 1.02}},
        ],
    }
    (place / "card.yaml").write_text(yaml.safe_dump(content))
    words = ["run", str(place / "card.yaml"), "-o", str(place / "out")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "OF_A_RUN", ("score",))  # the page draws its own
        done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return place / "out"


@pytest.fixture(scope="module")
def page(folder):
    done = CliRunner().invoke(main, ["report", str(folder)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return folder / "report.html"


class Parsed(HTMLParser):
    """Elements, their attributes and the text of a page; unbalanced elements are kept."""

    VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text, self.wrong = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.text.append(data)

    def of(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def parsed(page):
    return Parsed(page.read_text(encoding="utf-8"))


def test_the_page_needs_nothing_from_outside(page, parsed):
    text = page.read_text(encoding="utf-8")
    assert len(text) < 2_000_000
    text = re.sub(r'src="data:image/svg\+xml,[^"]*"', 'src="data:"', text)
    assert not re.findall(r"(?:src|href)\s*=\s*[\"']?(?!data:|#)[^\"'\s>]+", text)
    assert "url(" not in text
    assert "@import" not in text
    assert not parsed.of("link")
    pictures = parsed.of("img")
    assert all(p["src"].startswith("data:image/svg+xml,") and p["alt"] for p in pictures)
    for picture in pictures:
        ElementTree.fromstring(unquote(picture["src"].partition(",")[2]))
    # features, generators, score and sculpting of two detectors; training, latent space of one; roc, sic, luminosity;
    # the score of the best again, on the first screen
    assert len(pictures) == 4 * 2 + 2 + 3 + 1


def test_the_page_is_balanced_and_can_be_walked(parsed):
    assert parsed.open == []
    assert parsed.wrong == []
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = [a["href"].removeprefix("#") for a in parsed.of("a")]
    assert set(targets) <= set(ids)
    assert {s["id"] for s in parsed.of("section")} == {
        "summary", "run", "cutflow", "features", "training", "scores", "separation", "significance", "sculpting",
        "events", "numbers",
    }  # fmt: skip
    assert len(parsed.of("h1")) == 1
    assert parsed.of("html")[0]["lang"] == "en"
    assert all(t["tabindex"] == "0" for t in parsed.of("div") if t.get("role") == "region")


def test_results_come_first_and_panels_are_folded(folder, parsed):
    results = json.loads((folder / "results.json").read_text())["detectors"]
    passed = {n: d for n, d in results.items() if d["sculpting"]["passed"]}
    words = " ".join("".join(parsed.text).split())
    verdict = (
        words.index("expected at 100 fb⁻¹; best of two; gate passed.") if passed else words.index("no significance")
    )
    assert verdict < words.index("Expected of the test part") < words.index("Separation on the test part")
    order = [
        tag for tag, attrs in parsed.tags if tag in ("img", "details") or attrs.get("id") in ("separation", "features")
    ]
    assert order[:2] == ["img", "section"]  # the best score stands before anything else
    assert "Features before and after the cut: VAE <i>2</i>" in words  # the name of the detector, not of its file
    folded = {d["id"] for d in parsed.of("details") if "id" in d}
    detectors = ("VAE-i-2-i", "Squares")
    assert {f"features-{name}" for name in detectors} | {f"events-{name}" for name in detectors} <= folded
    assert folded == {a["href"][1:] for a in parsed.of("a") if a["href"][1:] in folded}


def test_a_verdict_in_words(folder):
    run = SavedRun(folder)
    signal = "W'(3.5 TeV)"
    first, second = run.results["detectors"].values()
    for detector, z in ((first, 1.26), (second, 6.71)):
        detector["signals"][signal]["significance"] |= {"total": z, "total_error": 0.34}
        detector["sculpting"] = None
    assert tables.verdict(run) == [f"Squares: Z = 6.7 ± 0.3 for {signal} expected at 100 fb⁻¹; best of two."]
    second["sculpting"] = {"passed": False}
    assert tables.verdict(run) == [
        f"VAE <i>2</i>: Z = 1.3 ± 0.3 for {signal} expected at 100 fb⁻¹; best of two; gate passed."
    ]
    assert tables.best(run) == "VAE <i>2</i>"
    second["sculpting"] = None
    entries = run.card.detectors  # no search knows every label; the run does not save these trees
    knowing = entries[1].model_copy(update={"detector": "SupervisedBoosting", "options": {}})
    run.__dict__["card"] = run.card.model_copy(update={"detectors": [entries[0], knowing]})
    assert tables.verdict(run) == [
        f"VAE <i>2</i>: Z = 1.3 ± 0.3 for {signal} expected at 100 fb⁻¹; with every label known, Squares: 6.7."
    ]
    first["sculpting"] = second["sculpting"] = {"passed": False}
    assert tables.verdict(run)[0] == f"{signal}: no detector passed the sculpting gate, so no significance is quoted."


def test_hostile_names_stay_text(page, parsed):
    text = page.read_text(encoding="utf-8")
    assert len(parsed.of("script")) == 1
    assert not parsed.of("b")
    assert not parsed.of("i")
    assert "alert('x')</script>" not in text
    assert EVIL in "".join(parsed.text)
    assert "A <b>run</b> & more" in "".join(parsed.text)


def test_the_numbers_are_those_of_the_run(folder, parsed):
    results = json.loads((folder / "results.json").read_text())
    words = " ".join("".join(parsed.text).split())
    for detector in results["detectors"].values():
        for numbers in detector["signals"].values():
            p = numbers["performance"]
            assert f"{p['auc']:.4f} ± {p['auc_error']:.4f}" in words
            known = numbers["significance"]
            assert f"{known['total_known']:.2f} ± {known['total_known_error']:.2f}" in words
        assert detector["sculpting"]["message"] in words
    for row in results["cutflow"]:
        assert f"{row['sum_weights']:.6g}" in words
    assert results["sources"][0]["sha256"][:16] in words


def closed(folder, tmp_path):
    """A copy of the run whose sculpting gates are closed."""
    copy = tmp_path / "closed"
    shutil.copytree(folder, copy)
    results = json.loads((copy / "results.json").read_text())
    for detector in results["detectors"].values():
        detector["sculpting"] |= {"passed": False, "message": "sculpting gate FAILED: no discovery may be quoted"}
    (copy / "results.json").write_text(json.dumps(results))
    return copy


def test_a_closed_gate_stands_in_the_place_of_the_discovery(folder, tmp_path):
    from hepaa.cli.common import table_of

    copy = closed(folder, tmp_path)
    write_report(SavedRun(copy), copy / "report.html")
    shut = Parsed((copy / "report.html").read_text(encoding="utf-8"))
    words = "".join(shut.text)
    assert words.count("no discovery: sculpting gate") >= 2
    assert any(p.get("class") == "alarm" and p.get("role") == "alert" for p in shut.of("p"))
    results = json.loads((copy / "results.json").read_text())
    lines = table_of(results)
    z = [n["significance"]["total"] for d in results["detectors"].values() for n in d["signals"].values()]
    assert not any(f"{value:.3f} +-" in line.split("  ")[-1] for value in z for line in lines)
    assert sum("\x1b[31m" in line for line in lines) == 2


def test_plot_draws_each_figure_from_the_folder_alone(folder, tmp_path):
    copy = tmp_path / "alone"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "figures")
    for name in ("generators", "luminosity", "sculpting", "latent", "pulls"):  # the page draws the others
        words = ["plot", name, str(copy), "-o", str(tmp_path / name), "--style", "ATLAS", "--label", "Work in progress"]
        done = CliRunner().invoke(main, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        written = list((tmp_path / name).iterdir())
        assert {p.suffix for p in written} == {".pdf", ".png"}
        assert all(str(p) in done.output for p in written)


def test_what_cannot_be_drawn_is_said(folder, tmp_path):
    run = SavedRun(folder)
    with pytest.raises(InputError, match="did you mean 'score'"):
        figures.draw(run, "scores", tmp_path)
    with pytest.raises(InputError, match=r"no results\.json there"):
        SavedRun(tmp_path)
    (tmp_path / "results.json").write_text("[1]")
    with pytest.raises(InputError, match="not the results of a run"):
        _ = SavedRun(tmp_path).results
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(InputError, match="run the card again"):
        _ = SavedRun(tmp_path).results
    with pytest.raises(InputError, match="no detector 'VAX"):
        run.score("VAX")


def browser():
    """Where a browser is, and what drives it; skips with the reason where either is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next((where for name in BROWSERS if (where := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser ({', '.join(BROWSERS)}) is installed")
    return playwright, found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_browser_draws_the_page_at_every_width(page):
    playwright, where = browser()
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=where, args=QUIET)
        for width, scheme in ((400, "light"), (400, "dark"), (1600, "light"), (1600, "dark")):
            view = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            said, asked = [], []
            view.on("console", lambda message, said=said: said.append(message.text))
            view.on("pageerror", lambda error, said=said: said.append(str(error)))
            view.on("dialog", lambda dialog, said=said: (said.append(dialog.message), dialog.dismiss()))
            view.on("request", lambda request, asked=asked: asked.append(request.url))
            view.goto(page.as_uri())
            assert said == []
            assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
            view.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
            view.wait_for_function("[...document.images].every(i => i.complete)")
            drawn = view.evaluate("[...document.images].map(i => i.complete && i.naturalWidth > 0)")
            assert drawn
            assert all(drawn)
            assert view.evaluate("document.documentElement.scrollWidth") <= width
            small = view.evaluate("Math.min(...[...document.images].map(i => i.getBoundingClientRect().width))")
            assert small > 300
            text, ground = view.evaluate(
                "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
            )
            assert contrast(text, ground) > 7
            view.keyboard.press("Tab")
            assert view.evaluate("document.activeElement.className") == "skip"
            view.close()
        view = chromium.new_page()
        view.goto(page.as_uri())
        view.get_by_role("button", name="Copy").press("Enter")
        assert view.evaluate("window.getSelection().toString() || document.activeElement.value").startswith(
            "detector\t"
        )
        assert not view.locator("details[id^=events-]").first.get_attribute("open")
        view.get_by_role("link", name="Most anomalous events, and why").nth(1).press("Enter")
        table = view.locator("details[open] table[data-sortable]")
        by_score = table.locator("tbody td:nth-child(2)").all_inner_texts()
        for order in ("descending", "ascending"):
            table.get_by_role("button", name="score").press("Enter")
            assert table.locator("th").nth(1).get_attribute("aria-sort") == order
        assert table.locator("tbody td:nth-child(2)").all_inner_texts() == sorted(by_score, key=float)
        view.get_by_role("button", name="Enlarge: Score").first.press("Enter")
        large = view.locator("dialog img")
        assert large.bounding_box()["width"] >= 1.5 * view.viewport_size["width"]
        assert view.get_by_role("link", name="Save as SVG").get_attribute("download").endswith(".svg")
        view.keyboard.press("Escape")
        large.wait_for(state="detached")
        view.emulate_media(media="print")
        assert not view.get_by_role("button", name="Copy").is_visible()
        chromium.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_axe_finds_nothing_serious(page):
    playwright, where = browser()
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=where, args=QUIET)
        for scheme in ("light", "dark"):
            view = chromium.new_page(color_scheme=scheme)
            view.goto(page.as_uri())
            view.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
            for dialog in (False, True):
                if dialog:
                    view.get_by_role("button", name="Enlarge: ROC curves").click()
                found = axe.Axe().run(view).response["violations"]
                assert [
                    (v["id"], v["nodes"][0]["html"][:120]) for v in found if v["impact"] in ("serious", "critical")
                ] == []
        chromium.close()


def contrast(one, other):
    """Ratio of luminances of two CSS colours: WCAG 2, 1.4.3."""

    def luminance(colour):
        parts = [int(x) / 255 for x in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
