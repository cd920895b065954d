"""Rows of numbers from Parquet files that others wrote, such as `DataFrame.to_parquet`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from hepaa.errors import InputError
from hepaa.io.columns.source import Missing, RowSource, exact, is_row_index, refuse_missing
from hepaa.io.files import one_line
from hepaa.io.parquet.columns import readable
from hepaa.io.remote import handle
from hepaa.io.texts import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


def parquet_source(path: str, missing: Missing) -> RowSource:
    """Columns of numbers, True and False; the index of a data frame is left out."""
    with readable(path):
        schema = pq.read_schema(handle(path))
    try:
        described = parse_json((schema.metadata or {}).get(b"pandas", b"{}"))
        index = [name for name in described.get("index_columns", []) if isinstance(name, str)]
    except (ValueError, TypeError, AttributeError) as broken:
        raise InputError(
            f"{path}: what pandas says of the table is damaged ({one_line(broken)}); write it again"
        ) from broken
    known = [field for field in schema if field.name not in index and not is_row_index(field.name)]
    numeric = [field.name for field in known if _is_number(field.type)]

    def read(wanted: Sequence[str], rows: int) -> Iterator[list[NDArray[Any]]]:
        seen = 0
        with readable(path), pq.ParquetFile(handle(path), page_checksum_verification=True) as file:
            for batch in file.iter_batches(batch_size=min(rows, 1 << 20), columns=list(wanted)):
                columns = {name: batch.column(name) for name in wanted}
                if missing == "error":
                    refuse_missing(path, columns, seen)
                yield [exact(name, column.to_numpy(zero_copy_only=False)) for name, column in columns.items()]
                seen += len(batch)

    text = tuple(field.name for field in known if field.name not in numeric)
    return RowSource(tuple(numeric), text, read, {"layout": "parquet"})


def _is_number(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_boolean(dtype))
