"""What lines are compared by: marks of their conversation, and sketches.

They depend on the messages alone, and are kept by a digest of these, as they are written. So what
was computed when a prompt was derived serves as long as its messages stay the same to the byte.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from bedrock_sluice.transforms.chat.digests import conversation_marks, plain_text
from bedrock_sluice.transforms.chat.messages import Message
from bedrock_sluice.transforms.chat.texts import turns_of
from bedrock_sluice.transforms.chat.training_line import read_chat
from bedrock_sluice.transforms.dedup.sketches import (
    PERMUTATIONS,
    SKETCH_BYTES,
    read_sketches,
    sketch,
    sketch_array,
)
from bedrock_sluice.transforms.errors import IntegrityError

NO_RESPONSE = Message("assistant", "")
DIGEST_BYTES = 16
MAX_VERIFIED = 256  # messages

MARKS = pa.schema(
    [
        pa.field("messages_digest", pa.binary(DIGEST_BYTES)),
        pa.field("path", pa.list_(pa.uint64())),
        pa.field("sketch", pa.binary(SKETCH_BYTES)),
    ]
)
"""Marks by the digest of the messages, one row each, to be kept in a file."""

Sketches = NDArray[np.uint32]


class LineMarks(NamedTuple):
    """What lines say, whatever their system message, a row for each.

    `paths` are those of `conversation_marks`, `sketches` those of the turns, and `fetch` gives the
    turns as `plain_text` of some rows.
    """

    paths: pl.Series
    sketches: Sketches
    fetch: Callable[[NDArray[np.int64]], pl.Series]


class MarkCache:
    """The marks of messages (JSON text of a line), which are computed once."""

    def __init__(self) -> None:
        self._rows = dict[bytes, int]()  # by digest
        self._paths = [pl.Series("path", dtype=pl.List(pl.UInt64))]
        self._sketches = [np.zeros((0, PERMUTATIONS), np.uint32)]

    def add(self, digests: Sequence[bytes], paths: pl.Series, sketches: Sketches) -> None:
        """Add marks that were computed of messages with these digests (`digest_messages`)."""
        first = sum(map(len, self._paths))
        self._rows.update((digest, row) for row, digest in enumerate(digests, first))
        self._paths.append(paths.alias("path"))
        self._sketches.append(sketches)

    def marks(self, messages: Sequence[bytes]) -> LineMarks:
        """Return the marks of messages; those that are missing are computed, and kept."""
        digests = list(map(digest_messages, messages))
        pairs = zip(digests, messages, strict=True)
        missing = {digest: text for digest, text in pairs if digest not in self._rows}
        self.add(list(missing), *_compute(list(missing.values())))
        rows = np.array([self._rows[digest] for digest in digests], np.int64)

        def fetch(places: NDArray[np.int64]) -> pl.Series:
            texts = [plain_text(turns_of(read_chat(messages[place]))) for place in places.tolist()]
            return pl.Series("turns", texts, dtype=pl.String)

        self._paths = [pl.concat(self._paths, rechunk=True)]
        self._sketches = [np.concatenate(self._sketches)]
        return LineMarks(self._paths[0].gather(rows), self._sketches[0][rows], fetch)

    def load(self, marks: pa.Table) -> None:
        """Add marks that `table` gave."""
        frame = pl.DataFrame(marks)
        self.add(frame["messages_digest"].to_list(), frame["path"], read_sketches(frame["sketch"]))

    def table(self, messages: Sequence[bytes]) -> pa.Table:
        """Return the marks of messages (schema `MARKS`), the same for the same set of messages."""
        by_digest = {digest_messages(text): text for text in messages}
        digests = sorted(by_digest)
        marks = self.marks([by_digest[digest] for digest in digests])
        columns = [pa.array(digests), marks.paths.to_arrow(), sketch_array(marks.sketches)]
        return pa.table(columns, names=MARKS.names).cast(MARKS)

    def verify(self, messages: Sequence[bytes]) -> None:
        """Compute the marks of some of the messages anew: those that are kept must be the same.

        Raises:
            IntegrityError: they are not, so those of other messages may be wrong too.
        """
        sample = messages[:: max(1, -(-len(messages) // MAX_VERIFIED))]
        paths, sketches = _compute(sample)
        marks = self.marks(sample)
        if paths.to_list() != marks.paths.to_list() or not np.array_equal(sketches, marks.sketches):
            raise IntegrityError(
                "marks of prompts in the derived parts differ from those of the lines",
                hint="nothing was published. Delete derived/ in the lake and build again; if that "
                "does not help, please report this as a bug in Sluice",
            )


def _compute(messages: Sequence[bytes]) -> tuple[pl.Series, Sketches]:
    chats = list(map(read_chat, messages))
    # Arrow takes nested lists ten times as fast as polars.
    paths = [conversation_marks(chat, NO_RESPONSE).path for chat in chats]
    texts = pl.Series(map(turns_of, chats), dtype=pl.String)
    return pl.Series(pa.array(paths, pa.list_(pa.uint64()))), sketch(texts)


def digest_messages(messages: bytes) -> bytes:
    """Return the digest by which the marks of messages (JSON text of a line) are kept."""
    return blake2b(messages, digest_size=DIGEST_BYTES).digest()
