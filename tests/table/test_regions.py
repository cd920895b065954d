"""Regions: masks of exclusive selections, and the signal region that they leave."""

from __future__ import annotations

import numpy as np
import pytest

from hepaa.errors import InputError
from hepaa.table import EventTable
from hepaa.table.regions import in_regions, signal_region

TABLE = EventTable.build(np.arange(10.0)[:, None], ["x"], event=np.full(10, 7))  # numbers that several files share


def test_regions_are_masks_and_the_signal_region_is_the_rest():
    regions = {"CR": "x < 3", "VR": "x >= 3 and x < 5"}
    masks = in_regions(TABLE, regions)
    assert [np.flatnonzero(m).tolist() for m in masks.values()] == [[0, 1, 2], [3, 4]]
    assert signal_region(TABLE, regions)["x"].tolist() == [5, 6, 7, 8, 9]
    assert signal_region(TABLE, {}) is TABLE


def test_events_are_in_one_region_alone():
    with pytest.raises(InputError, match="regions: 'VR' shares events with 'CR'"):
        in_regions(TABLE, {"CR": "x < 3", "VR": "x < 5"})
    with pytest.raises(InputError, match="regions: 'CR': this table has no column 'y'"):
        in_regions(TABLE, {"CR": "y < 3"})
