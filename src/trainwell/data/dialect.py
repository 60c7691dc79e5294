"""The bytes of a table to how it is written: text code, separator, quote, and whether a header names the columns."""

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from trainwell.data.values import MISSING, MISSING_IN_NUMBERS
from trainwell.errors import InputError

SEPARATORS = ("\t", ";", "|", ",")
_NUMBER = re.compile(r"^[$€£¥]?[+-]?(\d+([.,]\d+)*|\.\d+)([eE][+-]?\d+)?%?$|^[+-]?(inf|Infinity)$")
_DATE = re.compile(r"^\d{1,4}[-/.]\d{1,2}([-/.]\d{1,4})?([ T]\d{1,2}:\d{2}.*)?$")
_NAME = re.compile(r"^[^\d\W][\w .%()/#&:-]{0,39}$")


@dataclass
class Dialect:
    """How a table of text is written."""

    separator: str
    quote: str
    columns: int
    spaced: bool = False  # a blank stands between a separator and the quote that follows it

    def rows(self, text: str) -> Any:
        """A reader of the rows, as the standard library has it: lists of cells, with `line_num`."""
        csv.field_size_limit(2**31 - 1)
        return csv.reader(
            io.StringIO(text, newline=""),
            delimiter=self.separator,
            quotechar=self.quote,
            skipinitialspace=self.spaced,
        )


def unpack(raw: bytes, path: str) -> bytes:
    """The bytes behind gzip, or the bytes as they are; raises InputError for a damaged archive."""
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: the gzip archive is damaged ({error}): copy or compress it again") from error


def decode(raw: bytes, path: str) -> str:
    """Bytes to text by their mark or as UTF-8; raises InputError that names the first wrong byte and a likely code."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    if raw[:3] == b"\xef\xbb\xbf":
        raw = raw[3:]
    if b"\0" in raw[:65536]:
        raise InputError(
            f"{path}: no text (it holds zero bytes): expected CSV, TSV, Parquet or JSON lines in UTF-8; "
            "save a spreadsheet as CSV first"
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        place, byte = error.start, raw[error.start]
        row = raw.count(b"\n", 0, place) + 1
        guess = guess_code(raw)
        near = raw[max(0, place - 12) : place + 12].decode(guess, errors="replace").replace("\n", " ")
        raise InputError(
            f"{path}, line {row}: byte {place} is 0x{byte:02x}, which is not UTF-8; it looks like {guess} "
            f"({near!r}): convert it with `iconv -f {guess} -t UTF-8 {path} > utf8{Path(path).suffix or '.txt'}`"
        ) from error


def guess_code(raw: bytes) -> str:
    """The likely one-byte code of a text that is not UTF-8: Latin-1 has no letters in 0x80-0x9f, Windows-1252 has."""
    high = Counter(byte for byte in raw if 0x80 <= byte < 0xA0)
    undefined = {0x81, 0x8D, 0x8F, 0x90, 0x9D}
    return "latin-1" if high.keys() & undefined else "windows-1252"


def sniff(text: str, path: str) -> Dialect:
    """Separator and quote by what gives the same number of cells in most of the first 500 rows."""
    head = text[:200_000]
    if len(text) > len(head):
        head = head[: head.rfind("\n") + 1] or head
    quote = _quote(head)
    spaced = re.search(r'[,;\t|] +"', head) is not None
    found = []
    for separator in SEPARATORS:
        if separator not in head:
            continue
        tried = Dialect(separator, quote, 0, spaced)
        counts = Counter(len(row) for row in islice(tried.rows(head), 500) if row)
        if not counts:
            continue
        columns, rows = counts.most_common(1)[0]
        if columns > 1:
            found.append((rows / sum(counts.values()), separator, columns))
    if not found:
        return Dialect(",", quote, 1, spaced)
    best = max(share for share, _, _ in found)
    if best < 0.5 and not path.endswith((".csv", ".tsv", ".csv.gz", ".tsv.gz")):
        return Dialect("\x1f", quote, 1)
    separator, columns = next((s, c) for share, s, c in found if share >= best - 0.02)
    return Dialect(separator, quote, columns, spaced)


def split_by_blanks(text: str) -> str:
    """A table whose cells blanks keep apart, rewritten with tabs; any other text as it is."""
    lines = [line.split() for line in text[:100_000].splitlines()[:200] if line.strip()]
    cells = [cell for line in lines for cell in line]
    if len(lines) < 2 or len(lines[0]) < 2 or len({len(line) for line in lines}) > 1:
        return text
    if any(separator in text[:100_000] for separator in SEPARATORS) or '"' in text[:100_000]:
        return text
    if sum(map(is_number, cells)) < 0.5 * len(cells):
        return text
    return "\n".join("\t".join(line.split()) for line in text.splitlines())


def _quote(head: str) -> str:
    """The single quote only where cells that begin with it also end with it and the double quote wraps none."""
    if re.search(r'(^|[,;\t|])"', head, re.MULTILINE):
        return '"'
    wrapped = len(re.findall(r"(?:^|[,;\t|])'[^'\n]*'(?=[,;\t|\r\n]|$)", head, re.MULTILINE))
    begun = len(re.findall(r"(?:^|[,;\t|])'", head, re.MULTILINE))
    return "'" if wrapped and wrapped >= 0.9 * begun else '"'


def is_number(cell: str) -> bool:
    """Whether a cell of text is a number."""
    return bool(_NUMBER.match(cell))


def has_header(rows: list[list[str]]) -> bool:
    """Whether the first of these rows names the columns: text above numbers, or a word that its column never uses."""
    first, rest = [cell.strip().strip("'") for cell in rows[0]], rows[1:200]
    gaps = {*MISSING, *MISSING_IN_NUMBERS}
    if not rest:
        return not any(is_number(cell) or _DATE.match(cell) for cell in first)
    recurs, fresh = 0, 0
    for place, cell in enumerate(first):
        below = [row[place].strip().strip("'") for row in rest if place < len(row)]
        below = [value for value in below if value not in gaps]
        if cell in gaps or not below:
            continue
        values = sum(is_number(value) or bool(_DATE.match(value)) for value in below)
        if not is_number(cell) and not _DATE.match(cell):
            if values >= 0.9 * len(below):
                return True  # a word above numbers
            if cell in below:
                recurs += 1
            elif len(set(below)) < 0.5 * len(below):
                fresh += 1  # the column repeats its values, but never this one
        elif values:
            recurs += 1  # a number above numbers
    if recurs:
        return False
    return fresh > 0 or all(not cell or (_NAME.match(cell) and len(cell.split()) <= 3) for cell in first)
