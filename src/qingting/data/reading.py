"""The dialogues of files, folders and archives, recognised from content, not from names.

``read_records`` gives everything that stands there, defects included; ``read_dialogues`` gives
what can be used and hands the rest to a quarantine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

from qingting.core.dialogue import Dialogue, Origin
from qingting.data.containers import Container, FileReader
from qingting.data.copies import DigestSet
from qingting.data.formats import Format
from qingting.data.records import Defect, RawDialogue, judge
from qingting.data.repair import Repair, repair
from qingting.data.sources import Notice, open_sources

OnQuarantine = Callable[[RawDialogue, frozenset[Defect]], None]
"""Is given each record that cannot be used, and its defects."""


def ignore(_: object) -> None:
    """Do nothing: the default listener."""


def read_records(
    path: Path | str,
    *,
    on_bytes: Callable[[int], None] = ignore,
    on_notice: Notice = ignore,
) -> Iterator[RawDialogue]:
    """Yield every record at a path, turns as written, in the order in which they stand.

    Files of a folder and members of a zip come in the order of their names. Nothing is left out
    without a word: what cannot be read is a record with a ``problem``; a file that holds no record
    is told to ``on_notice``. An empty file is an empty dialogue where other files of the same
    folder or archive are one dialogue each as text; such files come last.

    Args:
        path: A file, folder or zip archive; gzip is recognised anywhere.
        on_bytes: Is told the number of bytes of each piece read.
        on_notice: Is told, in one line, of each file without records.

    Raises:
        NotFoundError: nothing stands at ``path``.
        DataError: the file or folder cannot be opened.
    """
    blank_members: list[str] = []
    holds_texts = False
    for source in open_sources(Path(path), on_bytes=on_bytes, on_notice=on_notice):
        reader = FileReader(source, on_notice=on_notice)
        is_empty = True
        for record in reader.read():
            is_empty = False
            yield record
        holds_texts |= reader.container is Container.TEXT
        if reader.container is Container.BLANK and source.is_member:
            blank_members.append(source.name)
        elif is_empty and reader.container is not None:
            on_notice(f"{source.name}: holds no dialogue")
    for name in blank_members:
        if holds_texts:
            yield RawDialogue(Origin(name, 1), "line", Format.LABELLED_TEXT)
        else:
            on_notice(f"{name}: holds no dialogue")


def read_dialogues(
    path: Path | str,
    *,
    repairs: Collection[Repair] = frozenset(),
    on_quarantine: OnQuarantine | None = None,
    on_bytes: Callable[[int], None] = ignore,
    on_notice: Notice = ignore,
) -> Iterator[Dialogue]:
    """Yield the dialogues at a path that can be used: strictly valid, if need be after repair.

    Copies are dialogues too and are yielded. A dialogue's id is its record's own, or else its
    place; an own id that was met before is followed by ``@`` and the place, so ids are unique.

    Args:
        path: A file, folder or zip archive.
        repairs: The repairs that may be made.
        on_quarantine: Is given each other record and its defects, as they are after repair.
        on_bytes: Is told the number of bytes of each piece read.
        on_notice: Is told, in one line, of each file without records.

    Raises:
        NotFoundError: nothing stands at ``path``.
        DataError: the file or folder cannot be opened.
    """
    ids = DigestSet()
    for record in read_records(path, on_bytes=on_bytes, on_notice=on_notice):
        repaired = repair(record, repairs).record if repairs else record
        if defects := judge(repaired):
            if on_quarantine is not None:
                on_quarantine(record, defects)
            continue
        dialogue = repaired.to_dialogue()
        name = dialogue.id.encode("utf-8", "surrogatepass")
        if not ids.add(hashlib.blake2b(name, digest_size=16).digest()):
            dialogue = replace(dialogue, id=f"{dialogue.id}@{record.place}")
        yield dialogue
