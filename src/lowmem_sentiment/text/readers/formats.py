"""The formats by name, and the blocks of a file in any of them."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ..opening import decoded
from ..reader_settings import USUAL_FIELDS, ReaderSettings, WantedFields
from ..rows import BLOCK_BYTES, Block, blocks_of
from .csv_tsv import csv_blocks
from .fasttext import parse_fasttext
from .json_lines import parse_json_line
from .lines import ParseLine, line_blocks, parse_plain
from .tar import tar_rows


def blocks_in(
    stream: Any,
    name: str,
    format_: str,
    settings: ReaderSettings,
    *,
    fields: WantedFields = USUAL_FIELDS,
    as_they_come: bool = False,
    warn: Callable[[str], None] = lambda line: None,
    report_columns: Callable[[dict[str, Any]], object] = lambda columns: None,
) -> Iterator[Block]:
    """Yield the rows of a stream that is unpacked already, in blocks.

    `as_they_come` takes what is there at a time and never waits to fill a block. Where no label is looked
    for, an empty line of text is a text.
    """
    if format_ == "tar":
        yield from blocks_of(tar_rows(stream, name, settings))
        return
    stream = decoded(stream, name, settings)
    read = partial(stream.read1, 1 << 18) if as_they_come else partial(stream.read, BLOCK_BYTES)
    if format_ in ("csv", "tsv"):
        yield from csv_blocks(
            read,
            name,
            settings,
            format_=format_,
            fields=fields,
            warn=warn,
            report_columns=report_columns,
        )
    else:
        parsers: dict[str, ParseLine] = {
            "jsonl": partial(parse_json_line, fields=fields),
            "fasttext": parse_fasttext,
            "text": parse_plain,
        }
        parse = parsers[format_]
        keep_blank = format_ == "text" and not fields.labelled
        yield from line_blocks(read, name, settings, parse, keep_blank)
