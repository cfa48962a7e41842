"""Records as they come."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, Optional

from . import _native
from ._window import Input, Inputs, named


class Stream:
    """An iterator, and an async iterator, of the records of a run. Whoever takes them slowly slows the reading, and
    nothing is lost. ``with`` ends the run; so does forgetting the stream."""

    def __init__(self, records: _native.Records) -> None:
        self._records = records

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        return json.loads(self._records.next())

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self

    async def __anext__(self) -> dict[str, Any]:
        while True:
            record = await asyncio.to_thread(self._poll)
            if record is _END:
                raise StopAsyncIteration
            if record is not None:
                return json.loads(record)

    def _poll(self) -> Any:
        # StopIteration cannot leave a coroutine.
        try:
            return self._records.poll()
        except StopIteration:
            return _END

    def stop(self) -> None:
        """Ends the run: what is open is closed, and its records still come."""
        self._records.stop()

    def close(self) -> None:
        """Gives up the run, and what has not come yet."""
        self._records.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_END = object()


def stream(
    inputs: Inputs,
    *,
    take: Iterable[str] = (),
    follow: bool = False,
    config: Optional[Input] = None,
    settings: Optional[Mapping[str, Any]] = None,
    format: Optional[str] = None,
) -> Stream:
    """Braids ``inputs`` and gives out records as dicts while it goes.

    ``take`` names the records: ``findings``, ``timelines``, ``entries``, ``samples``, ``templates``, ``stats``,
    ``rejects``; without it, findings and timelines come. With ``follow``, files are followed as they grow, until
    ``stop()``.

    A single ``http://HOST:PORT`` is a running logbraid: the findings that it shows come, each in its last revision, and
    with ``follow`` those that it finds from then on.
    """
    text = None if settings is None else json.dumps({"sinks": [], **settings})
    path = None if config is None else os.fspath(config)
    return Stream(_native.Records(named(inputs), list(take), follow, path, text, format))
