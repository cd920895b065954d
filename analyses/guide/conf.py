"""Sphinx: the guide, the gallery, the results and the reference; `nox -s docs` builds them.

Three pages are made while they are read, from what knows their content: the gallery from the sections of the results
page, the results from that page itself, the index of functions and the keys of a card from the package.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

import hepaa

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

ANALYSES = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ANALYSES))

project = "hepaa"
author = copyright = "The hepaa developers"
version = release = hepaa.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "sphinx_click"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["ref.python"]  # some names are shown by two packages
autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# What scikit-learn and matplotlib write into classes that derive from theirs is not of this package.
autodoc_default_options = {
    "exclude-members": "set,set_fit_request,set_partial_fit_request,set_predict_request,set_score_request"
}
numpydoc_show_class_members = False
default_role = "literal"  # docstrings set code in single backquotes
maximum_signature_line_length = 100
html_theme = "furo"
html_title = f"hepaa {release}"
html_theme_options = {"navigation_with_keys": True}
html_math_renderer = "mathml"
html_show_sourcelink = False

BY_MODULE = ("hepaa.stats", "hepaa.plots")
PUBLIC = ("hepaa", "hepaa.features", "hepaa.stats", "hepaa.plots", "hepaa.search", "hepaa.batch")


def gallery() -> str:
    """Every figure that there is, with its caption and the scripts that make it."""
    from page import scripts
    from sections import SECTIONS, anchor

    lines = []
    for section in SECTIONS:
        there = {name: text for name, text in section.figures.items() if (ANALYSES / f"figures/{name}.png").is_file()}
        if there:
            lines += [f"## {section.question}", ""]
        for name, caption in there.items():
            lines += [f"![{caption}](../figures/{name}.png)", "", f"*{caption}*", ""]
        if there:
            lines += [f"Made by {scripts(section, '../')}; [the numbers](results.md#{anchor(section.question)}).", ""]
    return "\n".join(lines)


def results() -> str:
    """The results page, with its links as they are from here."""
    text = (ANALYSES / "README.md").read_text(encoding="utf-8")
    return re.sub(r"\]\((?!#|https?:)", "](../", text)


def modules(package: str) -> list[str]:
    """Modules of a package, without those that begin with an underscore."""
    folder = importlib.import_module(package).__path__
    return [f"{package}.{entry.name}" for entry in pkgutil.iter_modules(folder) if not entry.name.startswith("_")]


def defined(module: str) -> list[str]:
    """Full names of the classes and functions that a module defines."""
    things = vars(importlib.import_module(module)).items()
    own = [name for name, value in things if callable(value) and getattr(value, "__module__", "") == module]
    return [f"{module}.{name}" for name in own if not name.startswith("_") and is_described(f"{module}.{name}")]


def public(package: str) -> list[str]:
    """Full names of what a package shows: of its list, or, where it has none, of what its modules define."""
    if package in BY_MODULE:
        return [name for module in modules(package) for name in defined(module)]
    shown = [f"{package}.{name}" for name in importlib.import_module(package).__all__ if not name.startswith("_")]
    return list(filter(is_described, shown))


def is_described(name: str) -> bool:
    """Whether a name is that of a class or a function, not of a constant, a module or a type."""
    value = value_of(name)
    return isinstance(value, type) or (callable(value) and hasattr(value, "__code__") and value.__name__ != "<lambda>")


def value_of(name: str) -> Any:
    """The object of a full name."""
    package, _, last = name.rpartition(".")
    return getattr(importlib.import_module(package), last)


def functions() -> str:
    """Public names of each package, one line each."""
    lines = []
    for package in PUBLIC:
        lines += [f"## {package}", "", "```{eval-rst}", ".. autosummary::", "   :nosignatures:", ""]
        lines += [*(f"   {name}" for name in sorted(public(package), key=str.lower)), "```", ""]
    return "\n".join(lines)


def described(names: list[str]) -> str:
    """The description of classes, with their members, and of functions."""
    lines = ["```{eval-rst}"]
    for name in names:
        is_class = isinstance(value_of(name), type)
        lines += [f".. auto{'class' if is_class else 'function'}:: {name}", *(["   :members:"] * is_class), ""]
    return "\n".join([*lines, "```", ""])


def listed(package: str) -> str:
    """The description of everything that a package lists."""
    return described(public(package))


def by_module(*names: str) -> str:
    """What modules say, and the description of everything in them."""
    said = "## {0}\n\n```{{eval-rst}}\n.. automodule:: {0}\n```\n"
    return "\n".join(said.format(name) + described(defined(name)) for name in names)


def card_keys() -> str:
    """Every key of a card with its default and its description."""
    from hepaa.card import Card

    return "\n".join(["| key | default | meaning |", "|---|---|---|", *key_rows(Card, "")])


def key_rows(section: type[BaseModel], prefix: str) -> Iterator[str]:
    """Rows of a section and, after each key, those of the sections inside."""
    from typing import get_args

    from pydantic import BaseModel
    from pydantic_core import PydanticUndefined

    for name, field in section.model_fields.items():
        parts = [field.annotation, *get_args(field.annotation)]
        inside = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
        required = field.default is PydanticUndefined and field.default_factory is None
        default = "required" if required else "" if inside else f"`{field.get_default(call_default_factory=True)}`"
        many = "[]" if inside and "list" in str(field.annotation) else ""
        key = f"{prefix}{field.alias or name}{many}"
        yield f"| `{key}` | {default} | {(field.description or '').replace('|', chr(92) + '|')} |"
        for part in inside:
            yield from key_rows(part, f"{key}.")


MADE = {
    "gallery": gallery,
    "results": results,
    "reference/index": functions,
    "reference/card": card_keys,
    "reference/detectors": partial(by_module, "hepaa.scores"),
    "reference/statistics": lambda: by_module(*modules("hepaa.stats")),
    "reference/plots": lambda: by_module(*modules("hepaa.plots")),
    "reference/search": partial(listed, "hepaa.search"),
    "reference/batch": partial(listed, "hepaa.batch"),
}


def fill_page(app: Sphinx, docname: str, source: list[str]) -> None:
    """The content of a page that is made, in place of its mark."""
    del app
    if docname in MADE:
        source[0] = source[0].replace("<!-- made by conf.py -->", MADE[docname]())


def plain_docstring(app: Sphinx, kind: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain sentences: bars, stars, last underscores mean themselves, and an indented block is code."""
    del app, kind, name, value, options
    block = 0  # indentation of code; 0 outside of it
    for i, line in enumerate(lines):
        indentation = len(line) - len(line.lstrip())
        if block and (not line or indentation >= block):
            continue
        block = 0
        if line.endswith(":") and not line.endswith("::") and lines[i + 1 : i + 2] == [""] and i + 2 < len(lines):
            below = len(lines[i + 2]) - len(lines[i + 2].lstrip())
            block = below if below >= indentation + 4 else 0
        parts = re.split(r"(`[^`]*`)", line)
        if not re.match(r"\s*[\w, *]+ : |\s*>>> |\s*\w+_$", line):
            parts[::2] = [re.sub(r"(?<=\w)(?=_(?!\w))|(?=\|)|(?=\*)", r"\\", part) for part in parts[::2]]
        lines[i] = "".join(parts) + (":" if block else "")


def formula(translator: HTML5Translator, node: nodes.Element) -> None:
    """A formula as MathML, which browsers draw without a library from elsewhere."""
    translator.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Fill pages while they are read, and draw formulas."""
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
    app.connect("source-read", fill_page)
    app.connect("autodoc-process-docstring", plain_docstring, priority=100)
