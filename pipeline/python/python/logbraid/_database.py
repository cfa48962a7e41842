"""Tables of SQLite databases as logs."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Optional

from ._window import Window


@dataclass
class DbTableMapping:
    """Which columns of a table are what. Without a mapping, columns are recognised by their names and values."""

    table: str
    timestamp_field: str = "created_at"
    timestamp_format: str = "epoch"
    level_field: Optional[str] = "status"
    level_map: Optional[dict[str, str]] = None
    message_template: str = "{table_name} row {_id}"
    correlation_id_field: Optional[str] = "correlation_id"
    extra_fields: Optional[list[str]] = None
    service_name: Optional[str] = None
    id_field: Optional[str] = "ulid"


@contextmanager
def database(path: str, mappings: Optional[Sequence[DbTableMapping]] = None) -> Iterator[Window]:
    """A window over a database: its own source where columns speak for themselves, else rows as the mappings say."""
    if not mappings:
        yield Window(f"sqlite:{path}")
        return
    with tempfile.TemporaryDirectory(prefix="logbraid-") as folder:
        inputs: dict[str, str] = {}
        for number, mapping in enumerate(mappings):
            name = os.path.join(folder, f"{number}-{mapping.table}.ndjson")
            _write(path, mapping, name)
            inputs[mapping.service_name or mapping.table] = name
        # The window keeps positions in these files, so that it lives no longer than they do.
        yield Window(inputs)


def _write(path: str, mapping: DbTableMapping, name: str) -> None:
    connection = sqlite3.connect(f"file:{os.path.abspath(path)}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        quoted = mapping.table.replace('"', '""')
        rows = connection.execute(f'SELECT rowid AS _rowid_, * FROM "{quoted}" ORDER BY rowid')
        with open(name, "w", encoding="utf-8") as out:
            for row in rows:
                out.write(json.dumps(_entry(dict(row), mapping), default=str) + "\n")
    finally:
        connection.close()


class _Row(dict):  # type: ignore[type-arg]
    """A template may name a column that there is not."""

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"


def _entry(row: dict[str, Any], mapping: DbTableMapping) -> dict[str, Any]:
    number = row.pop("_rowid_")
    own = row.get(mapping.id_field) if mapping.id_field else None
    words = _Row({**row, "table_name": mapping.table, "_id": own if own is not None else number})
    entry: dict[str, Any] = {"message": mapping.message_template.format_map(words)}
    moment = row.get(mapping.timestamp_field)
    if moment is not None:
        entry["timestamp"] = moment
    level = row.get(mapping.level_field) if mapping.level_field else None
    if level is not None:
        entry["level"] = (mapping.level_map or {}).get(str(level), str(level))
    if mapping.correlation_id_field and row.get(mapping.correlation_id_field) is not None:
        entry["correlation_id"] = str(row[mapping.correlation_id_field])
    for name in mapping.extra_fields if mapping.extra_fields is not None else []:
        entry[name] = row.get(name)
    return entry
