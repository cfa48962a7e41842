"""What can go wrong, in the words of the command line."""

from __future__ import annotations

import json
from typing import Any, Optional


class Error(Exception):
    """Something did not work. ``document`` is what the command line prints: ``code``, ``message``, ``help``."""

    def __init__(self, document: str) -> None:
        try:
            parsed: Any = json.loads(document)
        except ValueError:
            parsed = None
        self.document: dict[str, Any] = parsed if isinstance(parsed, dict) else {"message": document}
        #: A stable word for programs, such as ``unknown_question``.
        self.code: str = self.document.get("code", "failure")
        #: What is wrong.
        self.message: str = self.document.get("message", document)
        #: How to mend it, where that is known.
        self.help: Optional[str] = self.document.get("help")
        super().__init__(self.message if self.help is None else f"{self.message}\n  help: {self.help}")


class Mistake(Error, ValueError):
    """The caller can mend it: an option, a path, a pattern, a configuration."""


class Failure(Error, RuntimeError):
    """The caller cannot mend it."""


for _class in (Error, Mistake, Failure):
    # Where users find them.
    _class.__module__ = "logbraid"
