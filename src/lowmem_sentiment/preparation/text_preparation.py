"""Texts -> shards, in bounded memory.

Texts are read once, and wait as numbers on the disk until the vocabulary is known. Both halves are spread
over processes chunk by chunk. The number of processes changes neither the chunks nor the order in which
the parent takes the results, and so not a byte of the dataset.
"""

import tempfile
from functools import partial
from pathlib import Path

from ..dataset.writer import DatasetWriter
from ..sources.source import TextSource
from ..system import workers
from ..system.progress import Progress
from .chunk_tasks import SPLITS_READ, ChunkEncoder, Spill, tokenise_chunk
from .corpus_summary import CorpusSummary
from .given_vocabulary import GivenVocabulary
from .settings import PreparationSettings

# Shards that training reviews are spread over at a time, at most: 128 open files, 200 MB of
# reviews. Where a source sorted by label is larger, shards differ, and their random order mixes them.
_MAX_OPEN_SHARDS = 128


def write_texts(
    source: TextSource,
    directory: Path,
    settings: PreparationSettings,
    given: GivenVocabulary | None,
    shard_bytes: int,
    progress: Progress,
) -> None:
    """Write a source's texts into an empty directory as a dataset, with the words that are `given`.

    `settings` have recipe and tokenizer filled in.
    """
    tokenizer, recipe = str(settings.tokenizer), str(settings.recipe)
    processes = settings.workers or workers.available()
    with tempfile.TemporaryFile(dir=directory) as file:
        spill, summary = Spill(file), CorpusSummary(source, settings, directory)
        tokenise = partial(tokenise_chunk, tokenizer=tokenizer)
        for chunk in workers.in_order(tokenise, source.chunks(), processes):
            summary.add(chunk)
            spill.append(chunk.numbered)
            done, share = summary.num_read, source.share()
            progress("read texts", done, int(done / share) if share else None)
        spill.flush()
        decisions, labels = summary.decide(spill), summary.ordered_labels()
        vocabulary = given.words if given else summary.take_vocabulary()
        open_shards = min(_MAX_OPEN_SHARDS, summary.training_bytes // shard_bytes + 1)
        encoder = ChunkEncoder(spill, vocabulary, labels)
        with DatasetWriter(directory, labels, vocabulary, shard_bytes, open_shards=open_shards) as writer:
            done = 0
            for blocks in workers.in_order(encoder, enumerate(decisions), processes):
                for split, block in zip(SPLITS_READ, blocks, strict=False):
                    writer.append(split, block)
                    done += len(block.sizes)
                progress("write shards", done, summary.num_read)
            writer.finish(source.name, summary.describe(), tokenizer, recipe)
