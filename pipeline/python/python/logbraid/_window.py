"""A window: read once, asked often."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any, Optional, Union

from . import _native
from ._errors import Mistake
from ._native import Table

Input = Union[str, "os.PathLike[str]"]
#: One input, several, or services and what they log.
Inputs = Union[Input, Iterable[Input], Mapping[str, Union[Input, Iterable[Input]]]]


def named(inputs: Inputs) -> list[str]:
    """Inputs as the command line names them: paths, globs, folders, ``-``, ``kafka://…``, ``sqlite:…``, ``http://…``.

    Of a mapping, the keys label the entries with their service: ``{"api": "api.log"}``.
    """
    if isinstance(inputs, (str, os.PathLike)):
        return [os.fspath(inputs)]
    if isinstance(inputs, Mapping):
        return [f"{service}={name}" for service, several in inputs.items() for name in named(several)]
    return [os.fspath(one) for one in inputs]


class Window:
    """What was read of ``inputs``, or the window of a running logbraid at ``http://HOST:PORT``.

    Every question is a method: ``window.search(level=["error"])``, ``window.error_flow(id="req-17")``; the options are
    those of the command line with underscores, and the answer is a dict. ``window.ask("search", …)`` is the same.
    Options of every question: ``after``, ``before``, ``last``, ``max_bytes``, ``compact``, ``fields``.

    The index is kept, so that further questions cost microseconds to milliseconds. It can be asked from several threads
    at the same time. ``format`` is a format of the configuration or of logbraid; ``settings`` is a configuration itself.
    """

    def __init__(
        self,
        inputs: Inputs,
        *,
        config: Optional[Input] = None,
        settings: Optional[Mapping[str, Any]] = None,
        format: Optional[str] = None,
        memory: Optional[int] = None,
    ) -> None:
        text = None if settings is None else json.dumps({"sinks": [], **settings})
        path = None if config is None else os.fspath(config)
        self._native = _native.Window(named(inputs), path, text, format, memory)

    @property
    def inputs(self) -> list[str]:
        """The inputs as they were named."""
        return self._native.inputs

    @property
    def entries(self) -> Optional[int]:
        """Entries in the window; ``None`` for a running logbraid."""
        return self._native.entries

    @property
    def complete(self) -> bool:
        """False when an input was lost while it was read."""
        return self._native.complete

    @property
    def stale(self) -> bool:
        """True when files have changed since they were read."""
        return self._native.stale

    def __len__(self) -> int:
        return self.entries or 0

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<logbraid.Window of {', '.join(self.inputs)}>"

    def ask(self, question: str, /, **options: Any) -> Any:
        """Asks a question; ``None`` means that an option was not given. The answer is a dict, or a text where the answer
        is one: a drawing, lines of JSON, an exported document."""
        is_document, text = self.answer(question, options)
        return json.loads(text) if is_document else text

    def answer(self, question: str, options: Mapping[str, Any]) -> tuple[bool, str]:
        """An answer as text, and whether it is a JSON document."""
        request = {name: value for name, value in options.items() if value is not None}
        return self._native.ask(question, json.dumps(request))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        question = QUESTIONS.get(name)
        if question is None:
            raise AttributeError(f"a window has no question {name!r}; it has {', '.join(sorted(QUESTIONS))}")

        def ask(**options: Any) -> Any:
            return self.ask(question, **options)

        ask.__name__ = name
        return ask

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *QUESTIONS})

    def findings(self) -> list[dict[str, Any]]:
        """What a run finds in the inputs, those that changed last first."""
        return json.loads(self._native.findings())

    def _chains(self, root: Optional[str] = None) -> list[dict[str, Any]]:
        return json.loads(self._native.chains(root)).get("correlation_chains", [])

    def table(self, **options: Any) -> Table:
        """Entries as an Arrow table, with the options of the question ``emit`` and the range of time; pyarrow, polars and
        pandas take it without copying."""
        request = {name: value for name, value in options.items() if value is not None}
        return self._native.table(json.dumps(request))

    def sql_table(self, query: str, **options: Any) -> Table:
        """The rows of an SQL query on the table ``logs``, as an Arrow table."""
        return table_of(self.ask("sql", query=query, **options)["results"])


def table_of(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Dicts, such as the items of an answer's list, as an Arrow table: a column for each key."""
    return _native.table_of(json.dumps(list(rows)))


#: Questions by their names as methods.
QUESTIONS = {
    name.replace("-", "_").replace(" ", "_"): name
    for name in (
        "search", "context", "ids", "schema", "stats", "detect", "format list", "format test", "format validate", "emit",
        "correlate", "timeline", "threads", "hierarchy", "bottleneck", "error-flow", "compare", "export", "sql",
        "investigate", "view", "triage", "summarize", "templates", "patterns", "metrics", "diff", "verify-pattern",
        "correlate-events", "sample", "correlation list", "correlation run",
    )
}

#: Windows that functions over files keep; the one that was used longest ago leaves.
KEPT_MAX = 8
_kept: "OrderedDict[str, Window]" = OrderedDict()
_lock = Lock()


def kept(inputs: Inputs, settings: Optional[Mapping[str, Any]] = None, format: Optional[str] = None) -> Window:
    """The window of ``inputs``, read again only when files have changed."""
    names = named(inputs)
    if not names:
        raise Mistake(json.dumps({"code": "usage", "message": "'files' must name at least one file"}))
    key = json.dumps([os.getcwd(), names, settings, format], sort_keys=True)
    with _lock:
        window = _kept.pop(key, None)
    if window is None or window.stale:
        window = Window(names, settings=settings, format=format)
    with _lock:
        _kept[key] = window
        while len(_kept) > KEPT_MAX:
            _kept.popitem(last=False)
    return window


def forget() -> None:
    """Gives back the memory of all windows that functions over files keep."""
    with _lock:
        _kept.clear()
