"""Investigations: an index that is kept, and a session that remembers what was asked."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, Optional

from . import investigate as ask
from ._database import DbTableMapping, database
from ._errors import Mistake
from ._window import Window

Answer = dict[str, Any]


class Investigator:
    """Files that are read once, and questions about them."""

    def __init__(self, sql_db_path: Optional[str] = None) -> None:
        # SQL runs on the window itself; nothing is stored beside it.
        self.sql_db_path = sql_db_path
        self._window: Optional[Window] = None
        self._database: Any = None

    def load_files(
        self, files: Sequence[str], parser_format: Optional[str] = None, custom_regex: Optional[str] = None
    ) -> None:
        self.close()
        self._window = ask._window(list(files), parser_format, custom_regex)

    def load_from_db(self, db_path: str, mappings: Optional[Sequence[DbTableMapping]] = None) -> None:
        self.close()
        self._database = database(db_path, mappings)
        self._window = self._database.__enter__()

    @property
    def window(self) -> Window:
        """The window of what was loaded."""
        if self._window is None:
            raise Mistake(json.dumps({"code": "usage", "message": "nothing is loaded", "help": "call 'load_files' first"}))
        return self._window

    def search(
        self,
        query: Optional[str] = None,
        level: Optional[str] = None,
        exclude_level: Optional[str] = None,
        exclude_query: Optional[str] = None,
        thread_id: Optional[str] = None,
        correlation_id: Optional[str] = None,
        trace_id: Optional[str] = None,
        service_name: Optional[str] = None,
        limit: Optional[int] = None,
        tail: Optional[int] = None,
        time_start: Optional[str] = None,
        time_end: Optional[str] = None,
        context_lines: int = 3,
        count_only: bool = False,
        offset: int = 0,
    ) -> Answer:
        return ask.search(
            self.window,
            query=query,
            level=level,
            exclude_level=exclude_level,
            exclude_query=exclude_query,
            thread_id=thread_id,
            correlation_id=correlation_id,
            trace_id=trace_id,
            service_name=service_name,
            limit=limit,
            tail=tail,
            time_start=time_start,
            time_end=time_end,
            context_lines=context_lines,
            count_only=count_only,
            offset=offset,
        )

    def follow_thread(
        self,
        thread_id: Optional[str] = None,
        correlation_id: Optional[str] = None,
        trace_id: Optional[str] = None,
    ) -> Answer:
        return ask.follow_thread(self.window, thread_id, correlation_id, trace_id)

    def build_hierarchy(
        self,
        root_identifier: str,
        max_depth: Optional[int] = None,
        use_naming_patterns: bool = True,
        use_temporal_inference: bool = True,
        min_confidence: float = 0.0,
    ) -> Answer:
        return ask.follow_thread_hierarchy(
            self.window, root_identifier, max_depth, use_naming_patterns, use_temporal_inference, min_confidence
        )

    def get_context(self, file: str, line_number: int, lines_before: int = 10, lines_after: int = 10) -> Answer:
        return ask._context(self.window, file, line_number, lines_before, lines_after)

    def get_metadata(self) -> list[Answer]:
        return ask.get_metadata(self.window)

    def sql_query(self, query: str) -> list[Answer]:
        return self.window.ask("sql", query=query, limit=0)["results"]

    def sql_tables(self) -> list[str]:
        return ["logs"]

    def sql_schema(self, table: str) -> list[Answer]:
        if table != "logs":
            raise Mistake(json.dumps({"code": "usage", "message": f"there is no table '{table}'", "help": "there is 'logs'"}))
        return self.window.ask("sql", query="SELECT name, type FROM pragma_table_info('logs')", limit=0)["results"]

    def close(self) -> None:
        """Forgets what was loaded."""
        self._window = None
        if self._database is not None:
            self._database.__exit__(None, None, None)
            self._database = None

    def __enter__(self) -> Investigator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class InvestigationSession:
    """What was asked, what was found, and notes; steps can be undone and redone."""

    def __init__(self, files: Optional[Sequence[str]] = None, name: Optional[str] = None) -> None:
        self.files: list[str] = list(files or [])
        self.name = name or "investigation"
        self.created_at = _now()
        self.history: list[Answer] = []
        #: How many steps of the history count; those beyond are undone.
        self.current_index = 0

    # --- Steps

    def search(
        self, query: Optional[str] = None, level: Optional[str] = None, output_format: str = "summary", **kwargs: Any
    ) -> Answer:
        options = {"query": query, "level": level, "output_format": output_format, **kwargs}
        return self._step("search", options, lambda: ask.search(self.files, **options))

    def follow_thread(
        self,
        thread_id: Optional[str] = None,
        correlation_id: Optional[str] = None,
        trace_id: Optional[str] = None,
    ) -> Answer:
        options = {"thread_id": thread_id, "correlation_id": correlation_id, "trace_id": trace_id}
        return self._step("follow_thread", options, lambda: ask.follow_thread(self.files, **options))

    def find_patterns(self, min_occurrences: int = 3) -> Answer:
        options = {"min_occurrences": min_occurrences}
        return self._step("find_patterns", options, lambda: ask.find_patterns(self.files, min_occurrences))

    def compare_threads(self, **kwargs: Any) -> Answer:
        return self._step("compare_threads", kwargs, lambda: ask.compare_threads(self.files, **kwargs))

    def cross_service_timeline(self, service_files: dict[str, list[str]], **kwargs: Any) -> Answer:
        options = {"service_files": service_files, **kwargs}
        return self._step("cross_service_timeline", options, lambda: ask.cross_service_timeline(service_files, **kwargs))

    def add_note(self, note: str) -> None:
        self._step("note", {"note": note}, lambda: {"note": note})

    def _step(self, operation: str, options: Answer, do: Any) -> Answer:
        began = time.perf_counter()
        result = do()
        # A new step takes the place of those that were undone.
        del self.history[self.current_index :]
        self.history.append(
            {
                "operation": operation,
                "params": {name: value for name, value in options.items() if value is not None},
                "timestamp": _now(),
                "took_ms": round((time.perf_counter() - began) * 1000, 3),
                "result": result,
            }
        )
        self.current_index = len(self.history)
        return result

    def undo(self) -> bool:
        """Takes the last step back. False when there is none."""
        if self.current_index == 0:
            return False
        self.current_index -= 1
        return True

    def redo(self) -> bool:
        """Takes a step again that was undone. False when there is none."""
        if self.current_index >= len(self.history):
            return False
        self.current_index += 1
        return True

    # --- What was done

    def get_history(self, include_results: bool = False) -> list[Answer]:
        """The steps that count."""
        steps = self.history[: self.current_index]
        return [step if include_results else {k: v for k, v in step.items() if k != "result"} for step in steps]

    def get_current_focus(self) -> Optional[Answer]:
        """The last step that counts, without its result."""
        history = self.get_history()
        return history[-1] if history else None

    def get_summary(self) -> str:
        """The session in a few lines."""
        lines = [f"{self.name}: {len(self.files)} inputs, {self.current_index} steps"]
        lines += [f"  {number}. {_told(step)}" for number, step in enumerate(self.get_history(True), 1)]
        return "\n".join(lines) + "\n"

    def generate_report(self, format: str = "markdown", include_evidence: bool = True) -> str:
        """The session as ``markdown``, ``text`` or ``json``."""
        steps = self.get_history(True)
        if format == "json":
            document = {"name": self.name, "created_at": self.created_at, "files": self.files, "steps": steps}
            if not include_evidence:
                document["steps"] = self.get_history()
            return json.dumps(document, indent=2, default=str)
        if format not in ("markdown", "text"):
            message = f"there is no report format '{format}'"
            raise Mistake(json.dumps({"code": "usage", "message": message, "help": "there are markdown, text and json"}))
        mark = format == "markdown"
        lines = [f"# {self.name}" if mark else self.name, "", f"Begun {self.created_at}.", ""]
        lines += [f"- {_code(name) if mark else name}" for name in self.files] + [""]
        for number, step in enumerate(steps, 1):
            lines.append(f"{'## ' if mark else ''}{number}. {_told(step)}")
            lines.append("")
            if include_evidence:
                for message in _evidence(step["result"]):
                    lines.append(f"- {_code(message) if mark else message}")
                lines.append("")
        return "\n".join(lines).rstrip() + "\n"

    # --- Files

    def save(self, filepath: str) -> None:
        """Writes the session, with what was undone."""
        document = {
            "name": self.name,
            "created_at": self.created_at,
            "files": self.files,
            "current_index": self.current_index,
            "history": self.history,
        }
        with open(filepath, "w", encoding="utf-8") as out:
            json.dump(document, out, default=str)

    @classmethod
    def load(cls, filepath: str) -> InvestigationSession:
        """A session that was saved."""
        with open(filepath, encoding="utf-8") as saved:
            document = json.load(saved)
        session = cls(document["files"], document["name"])
        session.created_at = document["created_at"]
        session.history = document["history"]
        session.current_index = min(document["current_index"], len(session.history))
        return session


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _told(step: Answer) -> str:
    options = ", ".join(f"{name}={value!r}" for name, value in step["params"].items())
    result = step["result"]
    for name in ("total_matches", "total_entries", "total_patterns", "total"):
        if isinstance(result, dict) and isinstance(result.get(name), int):
            return f"{step['operation']}({options}): {result[name]} {name.replace('total_', '')}"
    return f"{step['operation']}({options})"


def _evidence(result: Any, most: int = 5) -> list[str]:
    """Messages that a result shows."""
    if not isinstance(result, dict):
        return []
    found: list[str] = []
    for name in ("results", "entries", "top_messages", "patterns", "timeline", "sample_entries"):
        for item in result.get(name) or []:
            entry = item.get("entry", item) if isinstance(item, dict) else {}
            message = entry.get("message") or entry.get("pattern")
            if message and message not in found:
                found.append(message)
    if result.get("summary") and isinstance(result["summary"], str):
        found.insert(0, result["summary"])
    return found[:most]


def _code(text: str) -> str:
    """A text that a log may hold, as Markdown shows it and does nothing with it."""
    line = " ".join(text.split()).replace("`", "ˋ")
    return f"`{line}`"
