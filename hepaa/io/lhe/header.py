"""What stands before the events of an LHE file: comment, header, weight declarations, init block.

Read by hand and not as XML, for real headers hold raw `<`, terminal escapes and run cards of every kind. Reference:
Les Houches Accord (hep-ph/0109068), Les Houches Event Files 1.0 (hep-ph/0609017) and 3.0 (arXiv:1405.1067).
"""

from __future__ import annotations

import html
import math
import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hepaa.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = r"[A-Za-z_][\w.:-]*(?![\w.:-])"
# Quoted values hold no `<`, as in XML: a search that fails ends at the next tag, and so all of them take linear time.
# The repetitions are unrolled, so that there is one way alone to match anything. They are not possessive, which Python
# 3.11.2 matches wrongly.
_QUOTED = """(?:"[^"<]*"|'[^'<]*')"""
_ATTRIBUTE = re.compile(rf"""(?<![\w.:-])({_NAME})\s*=\s*("[^"]*"|'[^']*')""")
_WELL_FORMED = re.compile(rf"""<{_NAME}(?:\s+{_NAME}\s*=\s*{_QUOTED})*\s*/?>""")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG = re.compile(rf"""<({_NAME})([^<>"']*(?:{_QUOTED}[^<>"']*)*)>""")
_END = re.compile(rf"</({_NAME})\s*>")
_GROUP_OR_WEIGHT = re.compile(
    rf"""(?P<closing></weightgroup\s*>)|<weightgroup\b(?P<group>[^<>"']*(?:{_QUOTED}[^<>"']*)*)>"""
    rf"""|<weight\b(?P<weight>[^<>"'/]*(?:(?:{_QUOTED}|/(?!>))[^<>"'/]*)*)"""
    r"""(?:/>|>(?P<text>[^<]*(?:<(?!/?weight\b)[^<]*)*)</weight\s*>)"""
)
_BLOCK = re.compile(rf"^[ \t]*<({_NAME})[^<>\n]*>", re.MULTILINE)
_DECIMAL = re.compile(
    r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:([edED])([+-]?\d+)|([+-]\d{3}))?|nan|inf(?:inity)?)", re.IGNORECASE | re.ASCII
)

BEAM_FIELDS = (
    "beamA", "beamB", "energyA", "energyB", "PDFgroupA", "PDFgroupB", "PDFsetA", "PDFsetB", "weightingStrategy",
    "numProcesses",
)  # fmt: skip
"""Names of the numbers on the first line of `<init>`, as pylhe spells them."""


@dataclass
class Header:
    """The parsed head of one file.

    Attributes
    ----------
    info : dict
        What `Events.header` shows; see `hepaa.io.lhe.read.iterate`.
    declared : list of str
        Weight ids in the order in which the file declares them: the names of the numbers in `<weights>`.
    promised : int or None
        Number of events that the header says the file has.
    """

    info: dict[str, Any]
    declared: list[str]
    promised: int | None


def decimal(text: str) -> float:
    """Double nearest to a decimal number; Fortran's D exponents and its `1.0-100` are understood.

    Raises
    ------
    ValueError
        `text` is no number in C's or Fortran's spelling.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no number")
    if match[1]:
        return float(text.replace("D", "e").replace("d", "e"))
    if match[3]:
        return float(f"{text[: match.start(3)]}e{match[3]}")
    return float(text)


def integer(text: str) -> int:
    """Integer from its digits, or from a real number without fraction such as `4.0`.

    Raises
    ------
    ValueError
        `text` is no integer.
    """
    if re.fullmatch(r"[+-]?\d+", text, re.ASCII):
        return int(text)
    value = decimal(text)
    if not value.is_integer():
        raise ValueError(f"{text!r} is no integer")
    return int(value)


def attributes(text: str) -> dict[str, str]:
    """Attributes of a tag, entities resolved."""
    return {name: _unescaped(value[1:-1]) for name, value in _ATTRIBUTE.findall(text)}


def _unescaped(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError as error:  # a character whose number has more digits than Python reads
        raise InputError(f"an entity of a text is no character ({error})") from error


def strict_attributes(tag: str) -> dict[str, str]:
    """Attributes of a whole tag, `<` to `>`, that has to be well-formed XML.

    Raises
    ------
    ValueError
        There is something else in the tag, or an attribute stands there twice.
    """
    if not _WELL_FORMED.fullmatch(tag):
        raise ValueError("it is not well-formed")
    pairs = _ATTRIBUTE.findall(tag)
    values = {name: _unescaped(value[1:-1]) for name, value in pairs}
    if len(values) != len(pairs):
        raise ValueError("an attribute stands there twice")
    return values


def decode(text: bytes) -> str:
    """Text of a file: UTF-8, or Latin-1 where it is not."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _comments(text: str) -> tuple[list[str], str]:
    """The comments of a text, and the text without them."""
    last = text.rfind("-->") + 3  # behind it there is none, and nobody has to look for its end
    return _COMMENT.findall(text, 0, last), _COMMENT.sub("", text[:last]) + text[last:]


def _opening(name: str, text: str, at: int = 0) -> tuple[int, str, int] | None:
    """The first tag of that name from `at` on: where it starts, what is in it, and where it ends."""
    start = re.compile(rf"<{name}\b").search(text, at)
    end = text.find(">", start.end()) if start else -1
    return (start.start(), text[start.end() : end], end + 1) if start and end >= 0 else None


class _Ends:
    """Where elements end."""

    def __init__(self, text: str) -> None:
        self._ends: dict[str, list[tuple[int, int]]] = {}
        for match in _END.finditer(text):
            self._ends.setdefault(match[1], []).append(match.span())

    def next(self, name: str, at: int) -> tuple[int, int] | None:
        """Start and end of the first `</name>` from `at` on."""
        ends = self._ends.get(name, [])
        i = bisect_left(ends, (at, at))
        return ends[i] if i < len(ends) else None


def _blocks(text: str) -> dict[str, str]:
    # Elements that start on a line of their own; what has no end is text of whatever it stands in.
    blocks: dict[str, str] = {}
    ends = _Ends(text)
    at = 0
    while match := _BLOCK.search(text, at):
        name, at = match[1], match.end()
        end = ends.next(name, at)
        if end is None:
            continue
        if name != "initrwgt":
            blocks.setdefault(name, text[at : end[0]].strip())
        at = end[1]
    return blocks


def _elements(text: str) -> tuple[list[tuple[str, str, str]], str]:
    """Name, attributes and content of the elements of a text, and what stands outside of them."""
    elements, outside = [], []
    ends = _Ends(text)
    at = last = 0
    while match := _TAG.search(text, at):
        at = match.end()
        alone = match[2].endswith("/")
        end = (at, at) if alone else ends.next(match[1], at)
        if end is None:
            continue
        elements.append((match[1], match[2], text[at : end[0]]))
        outside.append(text[last : match.start()])
        at = last = end[1]
    return elements, "\n".join([*outside, text[last:]])


def _weights(text: str) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]], list[str]]:
    info: dict[str, dict[str, Any]] = {}
    groups: list[dict[str, Any]] = []
    declared: list[str] = []
    group: dict[str, Any] | None = None
    for match in _GROUP_OR_WEIGHT.finditer(text):
        if match["closing"]:
            group = None
        elif match["group"] is not None:
            extra = attributes(match["group"])
            # MadGraph 2.0 names its groups by `type`.
            name = extra.pop("name", extra.get("type"))
            group = {"name": name, "combine": extra.pop("combine", None), "weights": [], "attributes": extra}
            groups.append(group)
        else:
            extra = attributes(match["weight"])
            name = extra.pop("id", None)
            if name is None:
                raise InputError("a <weight> of <initrwgt> has no id")
            declared.append(name)
            description = _unescaped(match["text"] or "").strip()
            of_group = None if group is None else group["name"]
            info.setdefault(name, {"group": of_group, "text": description, "attributes": extra})
            if group is not None:
                group["weights"].append(name)
    return info, groups, declared


def _init(text: str, info: dict[str, Any]) -> None:
    generators = []
    elements, plain = _elements(text)
    for name, tag, content in elements:
        if name == "generator":
            extra = attributes(tag)
            known = {key: extra.pop(key, "") for key in ("name", "version")}
            generators.append({**known, "description": _unescaped(content).strip(), "attributes": extra})
    lines = [line.split() for line in re.sub(r"#[^\n\r]*", "", plain).splitlines() if line.strip()]
    if not lines:
        raise InputError("<init> is empty: it has to give the beams and the cross-sections")
    try:
        beams = [decimal(v) if "energy" in f else integer(v) for f, v in zip(BEAM_FIELDS, lines[0], strict=True)]
    except ValueError as error:
        raise InputError(
            f"the first line of <init> has to be ten numbers, not {' '.join(lines[0])!r} ({error})"
        ) from None
    init: dict[str, Any] = dict(zip(BEAM_FIELDS, beams, strict=True))
    processes: list[dict[str, Any]] = []
    for line in lines[1:]:
        try:
            *numbers, process = line
            names = ("xSection", "error", "unitWeight")
            processes.append(dict(zip(names, map(decimal, numbers), strict=True)) | {"procId": integer(process)})
        except ValueError as wrong:
            if len(processes) == init["numProcesses"]:
                continue  # free text behind the processes, which LHEF.h passes over, too
            raise InputError(
                f"a process line of <init> has to be four numbers, not {' '.join(line)!r} ({wrong})"
            ) from None
    # Some programs fill <init> with dummies and list no process at all; then there is no cross-section.
    if processes and len(processes) != init["numProcesses"]:
        raise InputError(f"<init> announces {init['numProcesses']} processes and lists {len(processes)}")
    info |= {"init": {**init, "processes": processes}, "generators": generators, **cross_section(processes)}


def cross_section(processes: list[dict[str, Any]]) -> dict[str, float | None]:
    """Sum over processes and its uncertainty, in pb: "cross_section_pb", "cross_section_error_pb"; None without any.

    A sum of 0, -1 or nan is what programs write that do not know it: no cross-section.
    """
    total, squares = sum(p["xSection"] for p in processes), sum(p["error"] ** 2 for p in processes)
    if not 0 < total < math.inf:
        return {"cross_section_pb": None, "cross_section_error_pb": None}
    return {"cross_section_pb": total, "cross_section_error_pb": squares**0.5}


def _generator(info: dict[str, Any], comment: str) -> str | None:
    for generator in info["generators"]:
        if generator["name"] or generator["version"]:
            return f"{generator['name'] or generator['description']} {generator['version']}".strip()
    if "MGVersion" in info["blocks"]:
        return f"MadGraph5_aMC@NLO {info['blocks']['MGVersion'].strip('# ')}".strip()
    if "SHRunCard" in info["blocks"]:
        return "Sherpa"
    known = re.search(r"POWHEG[\w-]*|Pythia8|Herwig\S*|WHIZARD[\w.]*|Sherpa\S*", comment, re.IGNORECASE)
    return known[0] if known else None


def declarations(inside: str, init: str = "") -> tuple[dict[str, Any], list[str]]:
    """What `<header>` holds: "blocks", "weight_info" and "weight_groups"; and the weight ids in their order.

    The weights are those of every `<initrwgt>`: MadGraph writes them into `<header>`, the LHEF.h of HepMC3 into
    `<init>`, and a file that was reweighted twice has two.

    Raises
    ------
    InputError
        An `<initrwgt>` does not end, or a weight in it has no id.
    """
    declared = [block for text in (inside, init) for block in _initrwgt(_comments(text)[1])]
    weights, groups, names = _weights("\n".join(declared))
    return {"blocks": _blocks(inside), "weight_info": weights, "weight_groups": groups}, names


def _initrwgt(text: str) -> Iterator[str]:
    """The inside of each `<initrwgt>`."""
    ends = _Ends(text)
    at = 0
    while opening := _opening("initrwgt", text, at):
        end = ends.next("initrwgt", opening[2])
        if end is None:
            raise InputError("<initrwgt> of the head does not end")
        yield text[opening[2] : end[0]]
        at = end[1]


def parse(preamble: str, init: str) -> Header:
    """Read what stands before the first event.

    Parameters
    ----------
    preamble : str
        Everything before `<init`.
    init : str
        Inside of `<init>...</init>`.

    Raises
    ------
    InputError
        A number or a declaration is malformed. The message does not name the file.
    """
    root = _opening("LesHouchesEvents", preamble)
    body = preamble[root[2] :] if root else preamble
    opening = _opening("header", body)
    before, inside = (body[: opening[0]], body[opening[2] :]) if opening else (body, "")
    comment = "\n".join(c[4:-3].strip() for c in _comments(before)[0])
    info, declared = declarations(inside, init)
    info["version"] = attributes(root[1]).get("version") if root else None
    info["comment"] = comment
    _init(_comments(init)[1], info)
    info["generator"] = _generator(info, comment + inside[:2000])
    promised = re.search(r"Number of Events\s*:\s*(\d+)", info["blocks"].get("MGGenerationInfo", ""))
    # the first digits of more than a machine counts are a promise that no file keeps, too
    return Header(info, declared, int(promised[1][:19]) if promised else None)
