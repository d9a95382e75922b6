"""Server-sent events as bytes: split at line feeds only.

``httpx`` splits text at every line separator that Unicode knows (U+0085, U+2028 …), which tears
events apart whose JSON holds such a character unescaped.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

DONE = b"[DONE]"


class EventLines:
    """Reads the data of events; ``is_done`` once ``[DONE]`` came, nothing is read behind it."""

    def __init__(self) -> None:
        self.n_events = 0
        self.is_done = False
        self._pending = b""

    def events(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the data of every event in a stream of bytes."""
        for chunk in chunks:
            yield from self._feed(chunk)
            if self.is_done:
                return

    async def aevents(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """Yield what :meth:`events` yields, asynchronously."""
        async for chunk in chunks:
            for data in self._feed(chunk):
                yield data
            if self.is_done:
                return

    def _feed(self, chunk: bytes) -> Iterator[bytes]:
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue  # comments that keep a connection alive, names, ends of events
            data = line[5:].strip()
            if data == DONE:
                self.is_done = True
                return
            self.n_events += 1
            yield data
