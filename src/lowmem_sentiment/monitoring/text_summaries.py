"""Describe a run in words for TensorBoard: data, settings, model, result, its worst mistakes."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ..dataset.reader import Dataset
from ..dataset.splits import number_in_split, split_on_disk
from ..model.effects import Effect, strongest, word_effects
from ..model.metrics import Mistake
from ..model.numpy_model import NumpyModel
from ..runs.configuration import TrainingSettings
from ..runs.recipes import settings_by_recipe
from ..system.errors import listed, printable
from ..system.settings import plain
from ..text.vocabulary import Vocabulary
from .confusion_matrix import numbered_labels
from .markdown import markdown_table

MOST_LABELS, LABEL = 20, 40
"""How many labels are named with their counts, and how many characters of a label are shown."""


def describe_run(dataset: Dataset, settings: TrainingSettings, model: Any) -> str:
    """Return a run's training command, data, settings and layers as Markdown.

    One text per run, because TensorBoard repeats each text for every run of a folder.
    """
    options = settings.options(settings_by_recipe(dataset))
    command = shlex.join(["train", str(dataset.directory), "--run", "RUN", *options])
    rows = [[name, plain(value)] for name, value in vars(settings).items()]
    parts = [
        f"    lowmem-sentiment {command}",
        _describe_data(dataset),
        _describe_layers(model),
        markdown_table(["setting", "value"], rows),
    ]
    return "\n\n".join(parts)


def _describe_data(dataset: Dataset) -> str:
    manifest, length = dataset.manifest, dataset.manifest["length"]
    rows = []
    for split, content in manifest["splits"].items():
        counts = zip(content["labels"], dataset.labels, strict=True)
        shown = [f"{count:,} {printable(label, LABEL)}" for count, label in counts]
        rows.append([f"{split} reviews", f"{content['reviews']:,}: {listed(shown, MOST_LABELS)}"])
    rows += [
        ["words", f"{manifest['tokens']:,}, {manifest['vocabulary']['words']:,} distinct"],
        [
            "words per review",
            f"{length['mean']:.1f} ± {length['standard_deviation']:.1f}, "
            f"{length['min']} to {length['max']:,}",
        ],
        # A long word in one column makes TensorBoard break the words of the other.
        ["fingerprint", f"{dataset.fingerprint:.16}…"],
    ]
    return markdown_table([dataset.name, dataset.source["description"]], rows)


def _describe_layers(model: Any) -> str:
    rows = []
    for layer in model.layers:
        activation = getattr(getattr(layer, "activation", None), "__name__", "")
        rows.append([layer.name, type(layer).__name__, activation, f"{layer.count_params():,}"])
    rows.append(["all", "", "", f"{model.count_params():,}"])
    return markdown_table(["layer", "kind", "activation", "parameters"], rows)


def describe_result(
    epoch: Mapping[str, float],
    epochs: int,
    split: str,
    measures: Mapping[str, float],
    labels: Sequence[str],
) -> str:
    """Return the metrics of the kept `epoch`, a line of metrics.jsonl, as Markdown.

    Labels that pictures show as numbers are listed below.
    """
    rows = [["epoch", f"{epoch['epoch']} of {epochs} is kept"]]
    for name, value in epoch.items():
        if name not in ("epoch", "step"):
            held_out = name.startswith("val_")
            rows.append([f"{split if held_out else 'train'} {name.removeprefix('val_')}", f"{value:.4f}"])
    rows += [[f"{split} {name}", f"{value:.4f}"] for name, value in measures.items()]
    result = markdown_table(["result", ""], rows)
    numbered = [[nth, printable(labels[nth - 1], LABEL)] for nth in numbered_labels(labels)]
    return f"{result}\n\n{markdown_table(['in pictures', 'label'], numbered)}" if numbered else result


def describe_most_wrong(
    model: NumpyModel | None,
    dataset: Dataset,
    settings: TrainingSettings,
    most_wrong: list[Mistake],
    vocabulary: Vocabulary,
) -> str:
    """Return the reviews whose wrong label the model is surest of, as Markdown.

    `model` computes the words' effects; without a model they are omitted.
    """
    if not most_wrong:
        return "No validation review has a wrong label."
    split, numbers = settings.validated_on, [each.number for each in most_wrong]
    on_disk, _ = split_on_disk(dataset, split, settings.validation_split)
    if split != on_disk:
        numbers = [number_in_split(each, settings.validation_split) for each in numbers]
    reviews = dataset.pick(on_disk, numbers)
    inputs = dataset.pick(on_disk, numbers, dataset.inputs) if dataset.features else reviews
    words = dataset.vocabulary() if dataset.features else vocabulary
    lines = [
        f"The {split} reviews whose wrong label the model is surest of. Words in **bold** move it most "
        "towards that label, words in *italics* away from it; the number is how much lower the log-odds "
        "of the label are without the word. `·` is a word that the model does not know."
    ]
    for each, number in zip(most_wrong, numbers, strict=True):
        ids, label = reviews[number]
        effects: list[Effect] = []
        if model:
            known = model.known_ids(inputs[number][0])
            effects = word_effects(model, vocabulary, known, each.predicted, "·")
        towards, away = strongest(effects, 8, 4)
        text = words.decode(ids[1:], unknown="·").split(" ")
        shown = [*towards, *away]
        marked = _mark(text, {effect.word: "**" if effect.effect > 0 else "*" for effect in shown})
        weighted = ", ".join(f"{effect.word} {effect.effect:+.2f}" for effect in shown)
        true, predicted = (printable(dataset.labels[nth], LABEL) for nth in (label, each.predicted))
        lines += [
            f"### {true}, predicted {predicted} at {each.probability:.2%}",
            f"Review {number:,}: {weighted}",
            "> " + " ".join(marked),
        ]
    return "\n\n".join(lines)


def _mark(words: list[str], marks: dict[str, str]) -> list[str]:
    """Return the words of a review, with the words of `marks` marked."""
    marked = list(words)
    for item, mark in sorted(marks.items(), key=lambda each: each[0].count(" ")):
        parts = item.split(" ")
        for at in range(len(words) - len(parts) + 1):
            if words[at : at + len(parts)] == parts:
                for nth in range(at, at + len(parts)):
                    marked[nth] = f"{mark}{words[nth]}{mark}"
    return marked
