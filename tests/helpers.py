"""Handmade reviews, and processes: what tests of several folders use."""

import contextlib
import filecmp
import io
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lowmem_sentiment.cli import main
from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.text.reviews import Reviews
from lowmem_sentiment.text.vocabulary import OUT_OF_VOCABULARY_ID, START_ID, Vocabulary

GOOD = ["great", "wonderful", "moving", "funny", "brilliant"]
BAD = ["awful", "boring", "dull", "worst", "mess"]
PLAIN = ["the", "film", "a", "was", "and", "plot", "actor", "it", "scene", "of", "story", "i"]
WORDS = PLAIN + GOOD + BAD  # in order of rank
PATIENCE = 600
"""Seconds to wait for what takes one or two: nothing fails because the machine is busy."""
VOCABULARY = Vocabulary(word.encode() for word in (*PLAIN, *GOOD, *BAD, "café", "don't", "😀"))


def handmade_reviews(count: int, seed: int = 1) -> tuple[list[list[int]], list[int]]:
    """Return `count` reviews as lists of word ranks, and their labels: most words tell the label."""
    generator = np.random.default_rng(seed)
    reviews, labels = [], []
    for nth in range(count):
        label = nth % 2
        leaning = GOOD if label else BAD
        words = generator.choice(PLAIN, generator.integers(3, 12)).tolist()
        words += generator.choice(leaning, generator.integers(1, 4)).tolist()
        reviews.append([WORDS.index(word) + 1 for word in generator.permutation(words)])
        labels.append(label)
    return reviews, labels


def handmade_texts(count: int, labels: Sequence[str] = ("bad", "good"), seed: int = 1):
    """Return the same reviews as a list of (text, label)."""
    rows = zip(*handmade_reviews(count, seed), strict=True)
    return [(" ".join(WORDS[rank - 1] for rank in ranks), labels[label]) for ranks, label in rows]


def write_imdb(folder: Path, half: int = 100) -> tuple[Path, Path]:
    """Write an imdb.npz with twice `half` reviews and its word index, as Keras' files are made."""
    arrays: dict[str, np.ndarray] = {}
    for nth, name in enumerate(("train", "test")):
        reviews, labels = handmade_reviews(half, seed=nth + 1)
        sequences = np.empty(half, object)
        sequences[:] = reviews
        arrays |= {f"x_{name}": sequences, f"y_{name}": np.array(labels)}
    np.savez(folder / "imdb.npz", **arrays)
    index = {word: rank for rank, word in enumerate(WORDS, 1)}
    (folder / "imdb_word_index.json").write_text(json.dumps(index))
    return folder / "imdb.npz", folder / "imdb_word_index.json"


def write_reuters(folder: Path, count: int = 100) -> tuple[Path, Path]:
    """Write a reuters.npz and its word index, as Keras' files are made, of 46 topics."""
    reviews, labels = handmade_reviews(count)
    sequences = np.empty(count, object)
    sequences[:] = reviews
    topics = [3 if label else 4 + nth % 42 for nth, label in enumerate(labels)]
    np.savez(folder / "reuters.npz", x=sequences, y=np.array(topics))
    index = {word: rank for rank, word in enumerate(WORDS, 1)}
    (folder / "reuters_word_index.json").write_text(json.dumps(index))
    return folder / "reuters.npz", folder / "reuters_word_index.json"


def write_noisy_reviews(file: Path, labels: Sequence[str], count: int, seed: int = 1) -> None:
    """Write `count` short reviews as TSV: a word names the label, but a fifth has any other one."""
    generator = np.random.default_rng(seed)
    true = generator.integers(len(labels), size=count)
    other = generator.integers(len(labels), size=count)
    given = np.where(generator.random(count) < 0.2, other, true)
    plain = generator.choice(PLAIN, (count, 6)).tolist()
    with open(file, "w") as lines:
        lines.write("label\ttext\n")
        for words, leaning, label in zip(plain, true, given, strict=True):
            lines.write(f"{labels[label]}\t{' '.join(words)} {GOOD[leaning]}\n")


def write_run(path, labels=("negative", "positive"), hidden=(5, 4), seed=1) -> RunDirectory:
    """Write the two files of a run that predict reads, with random weights."""
    generator = np.random.default_rng(seed)
    units = [VOCABULARY.num_ids, *hidden, 1 if len(labels) == 2 else len(labels)]
    metadata = {
        "version": 1,
        "labels": list(labels),
        "num_words": VOCABULARY.num_ids,
        "activations": ["relu"] * len(hidden) + ["sigmoid" if len(labels) == 2 else "softmax"],
        "vocabulary_sha256": VOCABULARY.sha256,
    }
    arrays = {"metadata": np.frombuffer(json.dumps(metadata).encode(), np.uint8)}
    for nth in range(len(units) - 1):
        arrays[f"kernel_{nth}"] = generator.normal(size=units[nth : nth + 2]).astype(np.float32)
        arrays[f"bias_{nth}"] = generator.normal(size=units[nth + 1]).astype(np.float32)
    run = RunDirectory(path)
    run.path.mkdir()
    run.write_weights(arrays)
    VOCABULARY.save(run.vocabulary_file)
    return run


def run_cli(*arguments: object, own_process: bool = False, **options) -> subprocess.CompletedProcess:
    """Run the command and return its exit code and output, as `subprocess.run` does.

    It runs in this process, which may have TensorFlow already: its import takes three seconds. With
    `own_process`, or `options` of `subprocess.run` such as `input`, it runs in another.
    """
    command = [sys.executable, "-m", "lowmem_sentiment", *map(str, arguments)]
    if own_process or options:
        options = {"capture_output": True, "text": True, "timeout": PATIENCE, **options}
        return subprocess.run(command, check=False, **options)
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2)]
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        try:
            code = main(command[3:])
        except SystemExit as stopped:
            code = stopped.code
    texts = []
    for stream in streams:
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return subprocess.CompletedProcess(command, code, *texts)


def assert_same_directories(one: Path, other: Path) -> None:
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    same, different, _ = filecmp.cmpfiles(one, other, names, shallow=False)
    assert not different and len(same) == len(names)


def ngrams_of(words: list[bytes], longest: int) -> set[bytes]:
    return {
        b" ".join(words[at : at + size])
        for size in range(1, longest + 1)
        for at in range(len(words) - size + 1)
    }


def check_imports_no_tensorflow(*arguments: object) -> None:
    """Run a command in a process of its own, which may import neither TensorFlow nor Keras."""
    code = (
        "import sys; from lowmem_sentiment import cli\n"
        f"assert cli.main({[*map(str, arguments)]!r}) == 0\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600, stdout=subprocess.DEVNULL)


def wait_for(condition: Callable[[], Any], process: subprocess.Popen | None = None) -> Any:
    """Wait until `condition()` is true, and return its value; fail when `process` ends before."""
    until = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert process is None or process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < until, f"nothing happened within {PATIENCE} s"
        time.sleep(0.02)
    return value


def free_addresses(count: int) -> tuple[str, ...]:
    """Return addresses on this machine whose ports are free."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    for each in sockets:
        each.close()
    return addresses


def random_texts(count: int, seed: int = 3) -> list[str]:
    """Return texts with capitals, punctuation, line breaks, emoji, unknown words; some empty."""
    generator = np.random.default_rng(seed)
    words = [word.decode() for word in VOCABULARY.words]
    words += ["Great!", "WORST.", "<br />", "xyzzy", "CAFÉ", "film,film", "\t", "naïve", "¿", "10/10"]
    return [" ".join(generator.choice(words, generator.integers(0, 30))) for _ in range(count)]


def reviews(*items: tuple[list[int], int]) -> Reviews:
    """Return a block of (ids, label)."""
    return Reviews(
        np.array([id_ for ids, _ in items for id_ in ids], np.int32),
        np.array([len(ids) for ids, _ in items], np.int64),
        np.array([label for _, label in items], np.int64),
    )


def ids_of(vocabulary: Vocabulary, words: list[bytes]) -> list[int]:
    """Return the ids of a review: the start's, then each word's."""
    return [START_ID, *(vocabulary.ids.get(word, OUT_OF_VOCABULARY_ID) for word in words)]


def texts_of(dataset: Dataset, split: str) -> list[str]:
    """Return the words of each review of a split."""
    words = dataset.vocabulary()
    return [words.decode(ids[1:]) for block in dataset.read(split) for ids in block.split()]


def run_config(labels: list[str] | None = None) -> dict[str, object]:
    """Return what config.json holds of a run on `VOCABULARY`, but for what `RunDirectory.create` adds."""
    return {
        "settings": {"num_words": VOCABULARY.num_ids},
        "dataset": {"path": "/data/handmade", "name": "handmade", "source": {}, "fingerprint": "0"},
        "labels": labels or ["negative", "positive"],
        "versions": {},
    }


@contextlib.contextmanager
def limited_file_size(size: int) -> Iterator[None]:
    """Refuse to write beyond `size` bytes of any file while the block runs, as a full disk does.

    Python would cut off the bytecode of a module that is imported meanwhile, and not import it again.
    """
    before, write_no_bytecode = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        sys.dont_write_bytecode = write_no_bytecode


def write(path: Path | str, content: str | bytes) -> Path:
    """Write a file, in folders that are made for it, and return its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
