"""A run in words and a picture, for TensorBoard: data, settings, network, what it gets wrong."""

import shlex
from typing import Any

import numpy as np

from ..dataset.reader import Dataset
from ..dataset.splits import number_in_split
from ..model.metrics import Mistake
from ..model.numpy_model import NumpyModel
from ..runs.configuration import TrainingSettings
from ..text.vocabulary import Vocabulary
from .event_writer import markdown_table


def describe_run(dataset: Dataset, settings: TrainingSettings) -> str:
    """Give the settings, and the command that trains such a run again, as Markdown."""
    command = shlex.join(["train", str(dataset.directory), "--run", "RUN", *settings.options()])
    rows = [
        [name, ",".join(map(str, value)) if isinstance(value, tuple) else value]
        for name, value in vars(settings).items()
    ]
    return f"    lowmem-sentiment {command}\n\n{markdown_table(['setting', 'value'], rows)}"


def describe_data(dataset: Dataset) -> str:
    """Give where the reviews come from, how many and how long they are, as Markdown."""
    manifest, length = dataset.manifest, dataset.manifest["length"]
    rows = [["labels", ", ".join(dataset.labels)]]
    for split, content in manifest["splits"].items():
        counts = zip(content["labels"], dataset.labels, strict=True)
        told = ", ".join(f"{count:,} {label}" for count, label in counts)
        rows.append([f"{split} reviews", f"{content['reviews']:,}: {told}"])
    rows += [
        ["words", f"{manifest['tokens']:,}, {manifest['vocabulary']['words']:,} distinct"],
        ["words a review", f"{length['mean']:.1f} ± {length['standard_deviation']:.1f}, "
         f"{length['min']} to {length['max']:,}"],
    ]  # fmt: skip
    source = ((key, value) for key, value in dataset.source.items() if key != "description")
    # A long word in one column makes TensorBoard break the words of the other.
    rows += [
        [key.replace("_", " "), f"{value:.16}…" if "sha256" in key else value] for key, value in source
    ]
    return markdown_table([dataset.name, dataset.source["description"]], rows)


def describe_network(network: Any) -> str:
    """Give the network's layers and parameters as Markdown."""
    rows = []
    for layer in network.layers:
        activation = getattr(getattr(layer, "activation", None), "__name__", "")
        rows.append([layer.name, type(layer).__name__, activation, f"{layer.count_params():,}"])
    rows.append(["all", "", "", f"{network.count_params():,}"])
    return markdown_table(["layer", "kind", "activation", "parameters"], rows)


def describe_most_wrong(
    network: NumpyModel | None,
    dataset: Dataset,
    settings: TrainingSettings,
    most_wrong: list[Mistake],
    vocabulary: Vocabulary,
) -> str:
    """Give the reviews that a network is surest and wrong about, as Markdown.

    `network` weights the words; None: they are not weighted.
    """
    if not most_wrong:
        return "No validation review has a wrong label."
    split = settings.validated_on
    numbers = [
        number_in_split(each.number, settings.validation_split) if split == "validation" else each.number
        for each in most_wrong
    ]
    reviews = dataset.pick("test" if split == "test" else "train", numbers)
    lines = [
        f"The {split} reviews whose wrong label the network is surest of. Words in **bold** speak most "
        "for that label, words in *italics* against it; the number is how much lower the log-odds of "
        "the label are without the word. `·` is a word that the network does not know."
    ]
    for each, number in zip(most_wrong, numbers, strict=True):
        ids, label = reviews[number]
        effects = network.effects(ids, each.predicted) if network else {}
        order = sorted(effects, key=effects.get, reverse=True)
        spoke_for = [id_ for id_ in order[:8] if effects[id_] > 0]
        spoke_against = [id_ for id_ in order[:-5:-1] if effects[id_] < 0]
        words = vocabulary.decode(ids[1:], unknown="·").split(" ")
        marks = {**dict.fromkeys(spoke_for, "**"), **dict.fromkeys(spoke_against, "*")}
        marked = [f"{marks.get(id_, '')}{word}{marks.get(id_, '')}"
                  for id_, word in zip(ids[1:].tolist(), words, strict=True)]  # fmt: skip
        weighted = ", ".join(
            f"{vocabulary.decode([id_], '·')} {effects[id_]:+.2f}"
            for id_ in (*spoke_for, *spoke_against[::-1])
        )
        labels = dataset.labels
        lines += [
            f"### {labels[label]}, taken for {labels[each.predicted]} at {each.probability:.2%}",
            f"Review {number:,}: {weighted}",
            "> " + " ".join(marked),
        ]
    return "\n\n".join(lines)


def draw_confusion_matrix(counts: np.ndarray, labels: list[str]) -> np.ndarray:
    """Give uint8[height, width, 3] of int[labels, labels], true label by predicted, with rows' shares."""
    from PIL import Image, ImageDraw, ImageFont  # 20 ms; TensorBoard depends on it

    cell, left, top = max(90, 320 // len(labels)), 150, 84
    size = cell * len(labels)
    image = Image.new("RGB", (left + size + 10, top + size + 10), "white")
    draw = ImageDraw.Draw(image)
    font = {points: ImageFont.load_default(points) for points in (18, 22, 28)}
    draw.text((left + size / 2, 22), "predicted", "#555555", font[22], anchor="mm")
    draw.text((12, 60), "true", "#555555", font[22], anchor="lm")
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    for row, label in enumerate(labels):
        middle = top + (row + 0.5) * cell
        draw.text((12, middle), _fit(label, font[22], left - 20), "black", font[22], anchor="lm")
        draw.text((left + (row + 0.5) * cell, 60), _fit(label, font[22], cell - 4), "black", font[22],
                  anchor="mm")  # fmt: skip
        for column in range(len(labels)):
            share, x = shares[row, column], left + column * cell
            hue = (31, 119, 180) if row == column else (214, 39, 40)
            fill = tuple(round(255 - (255 - part) * share) for part in hue)
            draw.rectangle(
                (x, top + row * cell, x + cell - 3, top + (row + 1) * cell - 3), fill, "#cccccc"
            )
            ink = "white" if share > 0.5 else "black"
            count = f"{counts[row, column]:,}"
            draw.text(
                (x + cell / 2, middle - 16), count, ink, font[28 if cell > 110 else 18], anchor="mm"
            )
            draw.text((x + cell / 2, middle + 18), f"{share:.1%}", ink, font[18], anchor="mm")
    return np.asarray(image)


def _fit(text: str, font: Any, width: float) -> str:
    """Cut `text` so that it is at most `width` pixels wide."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
