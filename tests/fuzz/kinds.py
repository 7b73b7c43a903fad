"""The kinds of file that this software reads, each with a whole example and the commands that read it."""

import bz2
import gzip
import io
import json
import lzma
import re
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from helpers import handmade_texts, write_imdb, write_reuters

from lowmem_sentiment.cli import main
from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.decisions.abstention import Abstention
from lowmem_sentiment.decisions.calibration import Calibration
from lowmem_sentiment.decisions.records import write_record
from lowmem_sentiment.decisions.thresholds import ChosenThreshold
from lowmem_sentiment.runs.run_directory import RunDirectory
from lowmem_sentiment.search import cross_validation
from lowmem_sentiment.search.settings import TuneSettings
from lowmem_sentiment.search.state import FORMAT as TUNE
from lowmem_sentiment.search.state import Result, TuneState
from lowmem_sentiment.system.files import sha256
from lowmem_sentiment.system.schema import write_json

from .mutations import Change, mutate, mutate_file, mutate_json

Command = tuple[str, ...]

_FILES = ("prepare", "files", "{target}", "--out", "{out}", "--workers", "1", "--json")
_WITH_VOCABULARY = (*_FILES[:2], "{case}/reviews.csv", *_FILES[3:])
_IMDB = ("prepare", "imdb", "--source", "npz", "--npz", "{case}/imdb.npz", "--out", "{out}", "--json")
_REUTERS = ("prepare", "reuters", "--npz", "{case}/reuters.npz", "--out", "{out}", "--json")
_DATASET = (
    ("explore", "{case}/data", "--json"),
    ("evaluate", "{run}", "--data", "{case}/data", "--json"),
    ("train", "{case}/data", "--run", "{out}", "--epochs", "0"),  # stops before TensorFlow is imported
)
_RUN = (
    ("predict", "{case}/run", "great film", "--json"),
    ("predict", "{case}/run", "great film", "--explain"),
    ("evaluate", "{case}/run", "--data", "{data}", "--json"),
    ("evaluate", "{run}", "{case}/run", "--data", "{data}", "--json"),
)
_RESUME = ("train", "{trained_on}", "--resume", "{case}/run", "--epochs", "4", "--json")
_CHOSEN = (
    ("predict", "{case}/run", "--file", "{case}/lines.txt", "--json", "--threshold", "run"),
    ("predict", "{case}/run", "--file", "{case}/lines.txt", "--json", "--calibrated", "run"),
    ("predict", "{case}/run", "--file", "{case}/lines.txt", "--json", "--abstain", "run"),
    ("evaluate", "{case}/run", "--data", "{data}", "--abstain", "run", "--calibrated", "run", "--json"),
)
# Another seed than theirs: they stop when they have read the state.
_TUNE = ("tune", "{case}/data", "--out", "{case}/tune", "--seed", "12345", "--json")
_FOLDS = ("tune", "{case}/data", "--out", "{case}/folds", "--folds", "3", "--seed", "12345", "--json")
_EXPORT = ("export", "{run}", "--out", "{case}/exported", "--format", "weights", "--overwrite", "--json")
_CURVES = (("curves", "{case}/run", "--json"), ("curves", "{case}/run", "--chart", "all"))


@dataclass(frozen=True)
class Kind:
    """A file to damage, and what reads it."""

    target: str
    """The file in the case's folder; of several that match a pattern, any."""
    commands: tuple[Command, ...]
    change: Change = mutate_file
    same: str = "nothing"
    """What must be the same as in the answer to the whole file, with exit code 0: "result" where a
    checksum covers the bytes, "count" of the reviews, "result or warning", "nothing"."""
    codes: tuple[int, ...] = (0,)
    """The exit code for the whole file, and others that damage may cause besides `fuzzer.CODES`."""
    tensorflow: bool = False
    """Whether the commands need it: such a kind is tried where it is named, a second a case."""


def _change_inside(unpack: Callable[[bytes], bytes], pack: Callable[[bytes], bytes]) -> Change:
    """Return a change of what is in a compressed file, whose checksum is then right again."""

    def change(random: Random, path: Path) -> None:
        path.write_bytes(pack(mutate(random, unpack(path.read_bytes()))))

    return change


def _change_member(random: Random, path: Path) -> None:
    """Damage a file in a zip, name included, with a CRC-32 that is right again."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = random.choice(list(members))
    action = random.randrange(8)
    if action == 0:
        del members[name]
    elif action == 1:
        members[random.choice([" ", "../x", "\x1b[2J", "variable_99.npy"])] = members.pop(name)
    else:
        members[name] = mutate(random, members[name])
    method = zipfile.ZIP_DEFLATED if random.random() < 0.1 else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def _with_digest(change: Change) -> Change:
    """Return a change of a run's file whose SHA-256 in checksums.json is then right again."""

    def change_and_digest(random: Random, path: Path) -> None:
        change(random, path)
        checksums = path.parent / "checksums.json"
        files = json.loads(checksums.read_bytes())["files"]
        write_json(checksums, {"files": {**files, path.name: [sha256(path)]}})

    return change_and_digest


def _as_previous(change: Change) -> Change:
    """Return a change of the state before the last, where a kill has left no last one."""

    def move_and_change(random: Random, path: Path) -> None:
        previous = path.rename(path.with_name("state.previous.npz"))
        checksums = path.parent / "checksums.json"
        files = json.loads(checksums.read_bytes())["files"]
        write_json(checksums, {"files": {**files, previous.name: [sha256(previous)]}})
        change(random, previous)

    return move_and_change


def _crc32c(data: bytes) -> int:
    """Return the masked CRC-32C of TFRecord, a bit at a time: not by the code under test."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF


def _change_record(random: Random, path: Path) -> None:
    """Damage a record of a TFRecord file, whose checksums are then right again."""
    data, records = path.read_bytes(), []
    while data:
        size = struct.unpack_from("<Q", data)[0]
        records.append(data[: size + 16])
        data = data[size + 16 :]
    nth = random.randrange(len(records))
    record = mutate(random, records[nth][12:-4])
    head = struct.pack("<Q", len(record))
    ends = struct.pack("<I", _crc32c(head)), struct.pack("<I", _crc32c(record))
    records[nth] = head + ends[0] + record + ends[1]
    path.write_bytes(b"".join(records))


def _change_record_of_shard(random: Random, path: Path) -> None:
    """Damage a shard's record, and give the manifest the shard's new size and digest."""
    _change_record(random, path)
    manifest_file = path.parent / "dataset.json"
    manifest = json.loads(manifest_file.read_bytes())
    del manifest["checksum"]
    for split in manifest["splits"].values():
        for shard in split["shards"]:
            if shard["file"] == path.name:
                shard |= {"bytes": path.stat().st_size, "sha256": sha256(path)}
    write_json(manifest_file, manifest)


KINDS = {
    "csv": Kind("reviews.csv", (_FILES, ("predict", "{run}", "--file", "{target}", "--json"))),
    "tsv": Kind("reviews.tsv", (_FILES, (*_FILES, "--no-quotes"))),
    "jsonl": Kind("reviews.jsonl", (_FILES, ("predict", "{run}", "--file", "{target}", "--json"))),
    "fasttext": Kind("reviews.txt", (_FILES, (*_FILES, "--errors", "replace", "--skip-bad-rows", "9"))),
    "lines": Kind("lines.txt", (("predict", "{run}", "--file", "{target}", "--json"),)),
    "csv.gz": Kind("reviews.csv.gz", (_FILES,), same="result"),
    "csv.bz2": Kind("reviews.csv.bz2", (_FILES,), same="result"),
    "csv.xz": Kind("reviews.csv.xz", (_FILES,), same="result"),
    "csv in gz": Kind("reviews.csv.gz", (_FILES,), _change_inside(gzip.decompress, gzip.compress)),
    "tar": Kind("reviews.tar", (_FILES,), same="count"),
    # No checksum covers the content of a pax header, which may be the name that says the label.
    "tar with pax headers": Kind("reviews.pax.tar", (_FILES,)),
    "tar.gz": Kind("reviews.tar.gz", (_FILES,), same="result"),
    "tar in xz": Kind(
        "reviews.tar.xz", (_FILES,), _change_inside(lzma.decompress, lzma.compress), same="count"
    ),
    "imdb.npz": Kind("imdb.npz", (_IMDB,), same="result"),
    "imdb.npz arrays": Kind("imdb.npz", (_IMDB,), _change_member),
    "reuters.npz": Kind("reuters.npz", (_REUTERS,), same="result"),
    "reuters.npz arrays": Kind("reuters.npz", (_REUTERS,), _change_member),
    "imdb_word_index.json": Kind("imdb_word_index.json", (_IMDB,)),
    "dataset.json": Kind("data/dataset.json", _DATASET, same="result"),
    "dataset.json values": Kind("data/dataset.json", _DATASET, mutate_json),
    "dataset vocabulary": Kind("data/vocabulary.txt", _DATASET, same="result"),
    "given vocabulary": Kind("data/vocabulary.txt", ((*_WITH_VOCABULARY, "--vocabulary", "{target}"),)),
    "shard": Kind("data/*.tfrecord", _DATASET, same="result"),
    "shard records": Kind("data/*.tfrecord", _DATASET, _change_record_of_shard),
    "config.json": Kind("run/config.json", _RUN, same="result"),
    "config.json values": Kind("run/config.json", _RUN, _with_digest(mutate_json)),
    "run vocabulary": Kind("run/vocabulary.txt", _RUN, same="result"),
    "weights.npz": Kind("run/weights.npz", _RUN, same="result"),
    "weights.npz arrays": Kind("run/weights.npz", _RUN, _with_digest(_change_member)),
    "checksums.json": Kind("run/checksums.json", _RUN, same="result"),
    "checksums.json values": Kind("run/checksums.json", _RUN, mutate_json),
    "summary.json values": Kind("run/summary.json", _RUN[2:], _with_digest(mutate_json)),
    "threshold.json values": Kind("run/threshold.json", _CHOSEN, mutate_json),
    "calibration.json values": Kind("run/calibration.json", _CHOSEN, mutate_json),
    "abstention.json values": Kind("run/abstention.json", _CHOSEN, mutate_json),
    "profile.json values": Kind("run/profile.json", _CHOSEN, mutate_json),
    **{
        f"{name}.json": Kind(f"run/{name}.json", _CHOSEN, same="result")
        for name in ("threshold", "calibration", "abstention", "profile")
    },
    "evaluation.json values": Kind("run/evaluation.json", (_RUN[3], *_CURVES), mutate_json),
    "tune.json": Kind("tune/tune.json", (_TUNE,), codes=(73,)),
    "tune.json values": Kind("tune/tune.json", (_TUNE,), mutate_json, codes=(73,)),
    "folds.json": Kind("folds/folds.json", (_FOLDS,), codes=(73,)),
    "folds.json values": Kind("folds/folds.json", (_FOLDS,), mutate_json, codes=(73,)),
    "export.json": Kind("exported/export.json", (_EXPORT,), codes=(0, 73)),
    "events": Kind("run/tensorboard/**/*tfevents*", _CURVES, same="result or warning"),
    "state.npz": Kind("run/state.npz", (_RESUME,), same="result", tensorflow=True),
    "state.npz arrays": Kind("run/state.npz", (_RESUME,), _with_digest(_change_member), tensorflow=True),
    "state.previous.npz": Kind("run/state.npz", (_RESUME,), _as_previous(mutate_file), tensorflow=True),
    "state.previous.npz arrays": Kind(
        "run/state.npz", (_RESUME,), _as_previous(_with_digest(_change_member)), tensorflow=True
    ),
    "best.npz": Kind("run/best.npz", (_RESUME,), same="result", tensorflow=True),
    "best.npz arrays": Kind("run/best.npz", (_RESUME,), _with_digest(_change_member), tensorflow=True),
    "event records": Kind("run/tensorboard/**/*tfevents*", _CURVES, _change_record),
}  # fmt: skip


def _tar(rows: list[tuple[str, str]], format_: int, long_name: str = "") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=format_) as archive:
        for nth, (text, label) in enumerate(rows):
            name = f"reviews/{label}/{'' if nth % 7 else long_name}{nth}.txt"
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return content.getvalue()


def write_examples(folder: Path) -> None:
    """Write a whole file of every kind into `folder`, except for a run: that takes TensorFlow."""
    rows = handmade_texts(40, ("negative", "positive"))
    write = {
        "reviews.csv": "text,label\n" + "".join(f'"{text},\n""é""",{label}\n' for text, label in rows),
        "reviews.tsv": "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows),
        "reviews.jsonl": "".join(
            json.dumps({"text": text, "label": label}) + "\n" for text, label in rows
        ),
        "reviews.txt": "".join(f"__label__{label} {text}\n" for text, label in rows),
        "lines.txt": "".join(f"{text}\n" for text, _ in rows),
    }
    for name, text in write.items():
        (folder / name).write_text(text)
    csv, tar = (folder / "reviews.csv").read_bytes(), _tar(rows, tarfile.USTAR_FORMAT)
    for suffix, pack in {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}.items():
        (folder / f"reviews.csv.{suffix}").write_bytes(pack(csv))
        (folder / f"reviews.tar.{suffix}").write_bytes(pack(tar))
    (folder / "reviews.tar").write_bytes(tar)
    (folder / "reviews.pax.tar").write_bytes(_tar(rows, tarfile.PAX_FORMAT, "é" * 90))
    write_reuters(folder, 40)
    npz, _ = write_imdb(folder, half=20)
    prepared = main(["prepare", "imdb", "--npz", str(npz), "--out", str(folder / "data"), "--json"])
    assert prepared == 0


def write_results(folder: Path) -> None:
    """Write what evaluations, searches and exports leave, for the run and the dataset in `folder`."""
    run, dataset = RunDirectory(folder / "run"), Dataset(folder / "data")
    data = str(dataset.directory), dataset.fingerprint
    write_record(run, ChosenThreshold(*data, 0.4, "f1", "positive", {"f1": 0.9}))
    write_record(run, Calibration(*data, 1.2, 40))
    write_record(run, Abstention(*data, 0.05, 0.95, 0.1, 1, 0.1, 40, 30, 1))
    assert main(["evaluate", str(run.path), "--json"]) == 0
    assert main([part.format(run=run.path, case=folder) for part in _EXPORT]) == 0
    results = [Result(nth, 1, value=0.9, metrics={"loss": 0.1}) for nth in (1, 2)]
    state = TuneState(TUNE, 1, dataset.fingerprint, TuneSettings(), 1 << 30, 9.5, [2], results)
    measured = [cross_validation.FoldResult(1.0, 0, 20, 10, {"loss": 0.1})]
    folds = cross_validation._State(
        cross_validation.FORMAT, 1, dataset.fingerprint, TuneSettings(folds=3), measured
    )
    for name, content in {"tune": state, "folds": folds}.items():
        (folder / name).mkdir()
        content.write(folder / name)


def result_of(command: Command, output: str, out: Path) -> Any:
    """Return what of a command's answer may not change: the bytes of a dataset, or what it printed."""
    if command[0] == "train":
        summary = json.loads(output)
        return {name: value for name, value in summary.items() if name.startswith("val_")}
    if command[0] != "prepare":
        return re.sub(r'"time": "[^"]*"', "", output)
    manifest = json.loads((out / "dataset.json").read_bytes())
    return manifest["labels"], manifest["splits"], manifest["vocabulary"]
