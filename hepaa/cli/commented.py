"""A card as YAML in which a comment before each key says what it is: what `hepaa card --show` prints."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, get_args

import yaml
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

_WIDTH = 110


def commented(card: BaseModel) -> str:
    """The YAML of a card with all defaults, which gives the same card again; keys of sections it lacks are comments."""
    return "\n".join(_section(card, "")) + "\n"


def _section(section: BaseModel, indent: str, *, described: bool = True) -> Iterator[str]:
    """Lines of the keys of a section; of the second of a list, without the comments of the first."""
    for name, field in type(section).model_fields.items():
        key, value = field.alias or name, getattr(section, name)
        if described:
            yield from _comment(field, indent)
        items = value if isinstance(value, list) else []
        if isinstance(value, BaseModel):
            yield f"{indent}{key}:"
            yield from _section(value, f"{indent}  ", described=described)
        elif items and isinstance(items[0], BaseModel):
            yield f"{indent}{key}:"
            for i, item in enumerate(items):
                lines = list(_section(item, f"{indent}  ", described=described and i == 0))
                first = next(j for j, line in enumerate(lines) if not line.lstrip().startswith("#"))
                lines[first] = f"{indent}- {lines[first].lstrip()}"
                yield from lines
        else:
            plain = {key: section.model_dump(by_alias=True, mode="json", include={name})[key]}
            text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=10_000)
            yield from textwrap.indent(text, indent).splitlines()
            inner = _model(field.annotation)
            if described and not value and inner is not None:
                yield from _absent(inner, f"{indent}# ", listed=value == [])


def _absent(model: type[BaseModel], indent: str, *, listed: bool = False) -> Iterator[str]:
    """Keys of a section that a card does not have, as comments of two levels."""
    for i, (name, field) in enumerate(model.model_fields.items()):
        start = "- " if listed and i == 0 else "  "
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        inner = _model(field.annotation)
        yield from _comment(field, f"{indent}  ")
        yield f"{indent}{start}{field.alias or name}:{' (needed)' if field.is_required() else _in_line(default)}"
        if inner is not None:
            yield from _absent(inner, f"{indent}  ", listed=isinstance(default, list))


def _in_line(value: Any) -> str:
    """A default as YAML of one line; nothing of a section, whose keys follow."""
    if isinstance(value, BaseModel):
        return ""
    if isinstance(value, list):
        value = [v.model_dump(mode="json", exclude_defaults=True) if isinstance(v, BaseModel) else v for v in value]
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return " " + text.replace("\n...", "").strip()


def _comment(field: FieldInfo, indent: str) -> list[str]:
    """What a key is: its description, or that of its section."""
    model = _model(field.annotation)
    words = (
        field.description or (model.__doc__ or "").strip().split("\n")[0].rstrip(".") if model else field.description
    )
    return textwrap.wrap(words or "", _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _model(annotation: Any) -> type[BaseModel] | None:
    """The section that a type is, or is a list of, or may be; None for other types."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in map(_model, get_args(annotation)) if m is not None), None)
