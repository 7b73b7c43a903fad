"""Export a run for use elsewhere: TensorFlow Serving, NumPy, Keras."""

import functools
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..runs.run_directory import RunDirectory
from ..system.directories import Kind, new_directory
from ..system.errors import SettingsError
from ..system.schema import write_json
from ..system.workarounds import refused_writes_as_os_errors
from ..text import tokenizers
from ..text.tokenizers import FILTERS
from ..text.vocabulary import CHARACTERS, FIRST_WORD_ID, KERAS, OUT_OF_VOCABULARY_ID, START_ID
from .decision import CHOICE_FILES, FEW_KNOWN_WORDS, LEAST_OTHERS, NOT_SURE, Decision
from .numpy_model import load_with_vocabulary

EXPORT_FORMATS = ("saved-model", "weights", "keras")

VERSION = 1

EXPORT = Kind(
    "export",
    "export.json",
    "lowmem-sentiment export",
    r"vocabulary\.txt|weights\.npz|model\.keras|(saved_model|fingerprint)\.pb|variables|assets|"
    + "|".join(map(re.escape, CHOICE_FILES)),
)


def export(
    run: str | Path,
    out: str | Path,
    *,
    format: str = "saved-model",
    overwrite: bool = False,
    decision: Decision | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write a run into the new directory `out`, and return its path.

    "saved-model": a SavedModel that takes raw texts, with tokeniser and vocabulary in its graph, and
    gives labels by `decision` (default: the most probable). "weights": all that `predict` reads:
    weights.npz, vocabulary.txt, and what evaluations chose. "keras": model.keras,
    which takes multi-hot rows, and the vocabulary.txt that numbers their columns.

    Each has an export.json that describes it. `overwrite` replaces an export, and `report` says so.
    Only "saved-model" imports TensorFlow. Raises SettingsError, InputMissing, DataError, OutputExists,
    OutputError.
    """
    if format not in EXPORT_FORMATS:
        raise SettingsError(f"format is {format!r}, expected one of {', '.join(EXPORT_FORMATS)}")
    run, out = RunDirectory(run), Path(out)
    if format == "weights":
        labels = load_with_vocabulary(run)[0].labels  # never copy damaged files
        chosen = [run.path / name for name in CHOICE_FILES]
        files = [run.weights_file, run.vocabulary_file, *filter(Path.exists, chosen)]
    else:
        run.vocabulary()
        run.require_model()
        if run.weights_file.exists():
            load_with_vocabulary(run)  # never export a model that diverged
        labels = run.config()["labels"]
        files = [run.model_file, run.vocabulary_file]
    if decision and decision.abstains and not run.weights_file.exists():
        raise SettingsError(f"{run.path} has no {run.weights_file.name}; expected it, to abstain")
    with new_directory(out, EXPORT, overwrite=overwrite, inputs=[run.path], report=report) as directory:
        if format == "saved-model":
            _save(run, directory, decision or Decision())
        else:
            for file in files:
                shutil.copyfile(file, directory / file.name)
        content = {"format": EXPORT.format, "version": VERSION, "export": format, "labels": labels}
        write_json(directory / EXPORT.manifest, content)
    return out


def _save(run: RunDirectory, directory: Path, decision: Decision) -> None:
    """Write a SavedModel whose `serve` takes string[batch] and returns probabilities and label.

    The graph is the run's tokenizer, a hash table of the words or n-grams, the model, and the decision. A
    text that gets no label has an empty one, and a reason.
    """
    from .keras_model import load_model
    from .tensorflow import keras, tf

    model, vocabulary, ngrams = load_model(run), run.vocabulary(), run.ngrams()
    initializer = tf.lookup.KeyValueTensorInitializer(
        tf.constant(vocabulary.words, tf.string),
        tf.range(FIRST_WORD_ID, vocabulary.num_ids, dtype=tf.int64),
    )
    table = tf.lookup.StaticHashTable(initializer, OUT_OF_VOCABULARY_ID)
    encoding = keras.layers.CategoryEncoding(vocabulary.num_ids, output_mode="multi_hot")
    tokenise, names = graph_tokenizer(run.tokenizer()), tf.constant(run.config()["labels"])

    from_logits = decision.abstains or decision.temperature != 1
    if from_logits:
        model.layers[-1].activation = keras.activations.linear  # sigmoid would round near 1

    def serve(texts: tf.Tensor) -> dict[str, tf.Tensor]:
        words = tokenise(texts)
        rows = encoding(_ids(words, table, ngrams))
        outputs = model(rows, training=False)
        if not from_logits:
            outputs = tf.concat([1 - outputs, outputs], axis=1) if outputs.shape[-1] == 1 else outputs
            return _answer(decision, outputs, names)
        if outputs.shape[-1] == 1:
            outputs = tf.concat([tf.zeros_like(outputs), outputs], axis=1)
        answer = _answer(decision, tf.nn.softmax(outputs / decision.temperature), names)
        if not decision.abstains:
            return answer
        reason = _reasons(decision, outputs, rows, words.row_lengths())
        return {**answer, "label": tf.where(reason == "", answer["label"], ""), "reason": reason}

    module = tf.Module()
    module.tracked = [table, [variable.value for variable in model.variables]]
    module.serve = tf.function(serve, input_signature=[tf.TensorSpec([None], tf.string, name="texts")])
    with refused_writes_as_os_errors(tf.errors.OpError):
        tf.saved_model.save(module, str(directory), signatures={"serving_default": module.serve})


def _answer(decision: Decision, probabilities: Any, names: Any) -> dict[str, Any]:
    """Return the labels, as `Decision.labels`, and the probabilities [batch, labels]."""
    from .tensorflow import tf

    if probabilities.shape[-1] == 2:
        above = 0.5 if decision.threshold is None else decision.threshold
        chosen = tf.cast(probabilities[:, 1] > above, tf.int64)
    else:
        chosen = tf.argmax(probabilities, axis=1)
    return {
        "label": tf.gather(names, chosen),
        "probability": tf.gather(probabilities, chosen, batch_dims=1),
        "probabilities": probabilities,
    }


def _reasons(decision: Decision, logits: Any, rows: Any, words: Any) -> Any:
    """Return string[batch], why texts get no label, as `Decision.reasons`; "" for answered ones."""
    from .tensorflow import tf

    wide = tf.cast(logits, tf.float64)
    others = tf.reduce_sum(tf.exp(wide - tf.reduce_max(wide, axis=1, keepdims=True)), axis=1) - 1
    sure = -tf.math.log(tf.maximum(others, LEAST_OTHERS)) >= decision.least_log_odds
    known = tf.cast(tf.reduce_sum(rows[:, FIRST_WORD_ID:], axis=1), tf.float64)
    share = known / tf.cast(tf.maximum(words, 1), tf.float64)
    enough = (known >= decision.least_known) & (share >= decision.least_per_word)
    return tf.where(enough, tf.where(sure, "", NOT_SURE), FEW_KNOWN_WORDS)


def _ids(words: Any, table: Any, ngrams: int | None) -> Any:
    """Return int64[batch, (ids)] of string[batch, (words)], as `text.encoders` does."""
    from .tensorflow import tf

    if ngrams:
        words = tf.strings.ngrams(words, [*range(1, ngrams + 1)], " ")
    ids = tf.ragged.map_flat_values(table.lookup, words)
    if ngrams:
        return tf.ragged.boolean_mask(ids, ids != OUT_OF_VOCABULARY_ID)
    start = tf.fill([tf.shape(words.row_splits)[0] - 1, 1], tf.constant(START_ID, tf.int64))
    return tf.concat([start, ids], axis=1)


def graph_tokenizer(name: str) -> Callable[[Any], Any]:
    """Return a function from string[batch] to string[batch, (words)]: `tokenise` in TensorFlow."""
    from .tensorflow import tf

    if name != KERAS:
        return functools.partial(_unicode_words, tokenizer=name)
    separators = "[" + "".join(f"\\x{ord(letter):02x}" for letter in FILTERS) + "\\t\\n\\v\\f\\r]"

    def tokenise(texts: tf.Tensor) -> tf.RaggedTensor:
        lower = tf.strings.lower(texts)  # of ASCII letters only
        return tf.strings.split(tf.strings.regex_replace(lower, separators, " "))

    return tokenise


def _composed(codes: Any, rows: Any) -> tuple[Any, Any]:
    """Compose characters, with their texts' numbers, as `text.tokenizers` does."""
    from .tensorflow import tf

    pairs, composed = map(tf.constant, tokenizers.compositions())
    for _ in range(tokenizers.COMPOSITION_ROUNDS):
        wide = tf.cast(codes, tf.int64)
        wanted = wide[:-1] * (1 << 32) + wide[1:]
        place = tf.minimum(tf.searchsorted(pairs, wanted), tf.size(pairs) - 1)
        found = (tf.gather(pairs, place) == wanted) & (rows[:-1] == rows[1:])
        first = tf.concat([found, tf.zeros_like(rows[:1], tf.bool)], axis=0)
        follows = tf.concat([tf.zeros_like(rows[:1], tf.bool), found], axis=0)
        place = tf.concat([place, tf.zeros_like(codes[:1])], axis=0)
        codes = tf.where(first, tf.gather(composed, place), codes)
        codes, rows = tf.boolean_mask(codes, ~follows), tf.boolean_mask(rows, ~follows)
    return codes, rows


def _unicode_words(texts: Any, tokenizer: str) -> Any:
    """Split texts as `text.tokenizers` does, by its table and patterns."""
    from .tensorflow import tf

    codes = tf.strings.unicode_decode(texts, "UTF-8")
    codes, rows = _composed(codes.values, codes.value_rowids())
    table = tf.constant(tokenizers.character_table(tokenizer))
    size = tokenizers.TABLE_SIZE
    beyond = codes | tokenizers.letter_flags(tokenizer)
    entries = tf.where(codes < size, tf.gather(table, tf.minimum(codes, size - 1)), beyond)
    space = tf.fill(tf.shape(entries), ord(" "))
    kept = entries != tokenizers.DROPPED
    before = kept & (entries & tokenizers.SPACE_BEFORE > 0)
    after = kept & (entries & tokenizers.SPACE_AFTER > 0)
    spaced = tf.stack([space, entries & (tokenizers.SPACE_BEFORE - 1), space], axis=1)
    mask = tf.reshape(tf.stack([before, kept, after], axis=1), [-1])
    mapped = tf.RaggedTensor.from_value_rowids(
        tf.boolean_mask(tf.reshape(spaced, [-1]), mask),
        tf.boolean_mask(tf.repeat(rows, 3), mask),
        tf.shape(texts, tf.int64)[0],
    )
    lines = tf.strings.join([" ", tf.strings.unicode_encode(mapped, "UTF-8"), " "])
    lines = tf.strings.regex_replace(lines, tokenizers.QUOTES, " ")
    lines = tf.strings.regex_replace(lines, tokenizers.ELISIONS, r" \1 \2")
    if tokenizer != CHARACTERS:
        lines = tf.strings.regex_replace(lines, *tokenizers.FINAL_SIGMA)
    return tf.strings.split(lines)
