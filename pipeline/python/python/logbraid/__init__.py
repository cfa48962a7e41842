"""Braids interleaved logs back into requests: timelines, call trees, error flow.

    import logbraid

    window = logbraid.Window("logs/*.log")
    window.investigate(top=3)
    window.error_flow(id="req-17")

    for record in logbraid.stream("logs/*.log"):
        ...

``logbraid.investigate`` has the functions of the batch tool's module of that name.
"""

from . import investigate
from ._errors import Error, Failure, Mistake
from ._native import Table
from ._stream import Stream, stream
from ._window import Window, forget, table_of

__version__ = "0.1.0"

__all__ = [
    "Error",
    "Failure",
    "Mistake",
    "Stream",
    "Table",
    "Window",
    "forget",
    "investigate",
    "stream",
    "table_of",
]
