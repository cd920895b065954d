"""The embedded samples that `hepaa demo` runs on; README.md here says what they are and how they were made."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from hepaa.errors import InputError, nearest


def path(name: str) -> Path:
    """Path of an embedded sample or run card.

    Parameters
    ----------
    name : str
        Such as "zh_sm.lhe.gz", "dijet_monash.h5" or "zh.yaml".

    Raises
    ------
    InputError
        There is no such file; the message lists what there is.

    Examples
    --------
    >>> path("zh_sm.lhe.gz").name
    'zh_sm.lhe.gz'
    """
    folder = Path(str(files(__name__)))
    samples = {p.name: p for p in [*folder.glob("data/*"), *folder.glob("*.yaml")]}
    if name not in samples:
        raise InputError(f"no embedded sample {name!r}; {nearest(name, samples)}")
    return samples[name]
