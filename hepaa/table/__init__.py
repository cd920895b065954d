"""EventTable, the one object between features and figures: made, mixed, split, selected, prepared for training."""

from hepaa.table.table import BACKGROUND, DATA, ROW_ARRAYS, SIGNAL, CutflowRow, EventTable, Source, concatenate

__all__ = ["BACKGROUND", "DATA", "ROW_ARRAYS", "SIGNAL", "CutflowRow", "EventTable", "Source", "concatenate"]
