"""What is evaluated: runs with their models, and the labelled reviews that each is scored on."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ..dataset.reader import Dataset
from ..dataset.splits import num_reviews
from ..model.numpy_model import load_with_vocabulary
from ..runs.run_directory import RunDirectory
from ..sources.settings import FilesSettings
from ..system.errors import DataError, SettingsError
from ..text.encoders import TextEncoder, text_encoder
from .labelled_texts import LabelledTexts
from .recorded_source import recorded_source
from .scoring import Batch, Model, dataset_batches


@dataclass
class Candidate:
    """A run to score; its model is loaded when it is first asked for."""

    run: RunDirectory
    threshold: float | None = None
    chosen: dict[str, Any] | None = None
    """What is recorded of a threshold that was chosen."""

    @cached_property
    def _loaded(self) -> tuple[Model, TextEncoder]:
        if self.run.weights_file.exists() or not self.run.model_file.exists():
            model, vocabulary = load_with_vocabulary(self.run)
            return model, text_encoder(vocabulary, model.metadata.ngrams, model.metadata.tokenizer)
        encoder = text_encoder(self.run.vocabulary(), self.run.ngrams(), self.run.tokenizer())
        return _load_keras_model(self.run), encoder

    @property
    def model(self) -> Model:
        """The model in NumPy, or, where there is no weights.npz but a model.keras, in Keras."""
        return self._loaded[0]

    @property
    def encoder(self) -> TextEncoder:
        """What makes ids of texts for the model."""
        return self._loaded[1]

    @property
    def labels(self) -> list[str]:
        """The labels that the model knows, in order."""
        return self.run.config()["labels"] if self.run.config_file.exists() else self.model.labels

    def validation_share(self, dataset: Dataset) -> float:
        """Return the share of a dataset's training split that the run was validated on.

        Raises SettingsError when there was none, or the run was trained on another dataset.
        """
        config = self.run.config()
        share = config["settings"].get("validation_split", 0.0)
        if not share:
            raise SettingsError(
                f"{self.run.path} has no validation split; expected a run that was trained with "
                "one, such as --validation-split 0.1"
            )
        if config["dataset"]["fingerprint"] != dataset.fingerprint:
            raise SettingsError(
                f"{dataset.directory} is not what {self.run.path} was trained on, so its validation "
                f"split is another; expected {config['dataset']['path']}"
            )
        return share


def _load_keras_model(run: RunDirectory) -> Model:
    config = run.config()
    if "tensorflow" not in sys.modules:
        from ..training import tensorflow_startup

        tensorflow_startup.start()
    model = run.load_model()
    from ..model.keras_scores import KerasModel

    return KerasModel(model, config["labels"], config["settings"]["num_words"], run.ngrams())


@dataclass
class ReviewGroup:
    """Labelled reviews, and the candidates that are scored on them in one pass."""

    about: dict[str, Any]
    """Of a report: data, dataset, split, fingerprint."""
    batches: Callable[[], Iterable[Batch]]
    """Yield the reviews: one pass."""
    total: int | None
    """How many reviews there are, where it is known."""
    candidates: list[Candidate]
    texts: LabelledTexts | None = None


def group_by_dataset(
    candidates: Sequence[Candidate],
    baseline: Candidate | None,
    datasets: Sequence[Dataset | str | Path],
    split: str,
) -> list[ReviewGroup]:
    """Return each dataset's split with the candidates to score on it, checked to fit it.

    Without `datasets` each run has the one that it was trained on, or the baseline's, if only the
    baseline reads n-grams; runs that share it are together.
    """
    groups: dict[Any, ReviewGroup] = {}
    choices: Sequence[Dataset | str | Path | None] = datasets or [None]
    for given in choices:
        for candidate in candidates:
            dataset = _owner_of_shared_dataset(candidate, baseline).run.find_dataset(given)
            candidate.run.require_words_of(dataset)
            share = candidate.validation_share(dataset) if split == "validation" else 0.0
            key = str(dataset.directory.resolve()), share
            if key not in groups:
                groups[key] = _group_of_dataset(dataset, split, share)
                _check_baseline(baseline, dataset, split, share)
            groups[key].candidates.append(candidate)
    return list(groups.values())


def _owner_of_shared_dataset(candidate: Candidate, baseline: Candidate | None) -> Candidate:
    """Return whose dataset both can be scored on: a dataset of n-grams has the words, too."""
    if baseline and baseline.run.ngrams() and not candidate.run.ngrams():
        return baseline
    return candidate


def _check_baseline(baseline: Candidate | None, dataset: Dataset, split: str, share: float) -> None:
    """Raise DataError or SettingsError for a baseline that cannot be compared on these reviews."""
    if baseline:
        baseline.run.require_words_of(dataset)
    if baseline and split == "validation" and baseline.validation_share(dataset) != share:
        raise SettingsError(
            f"{baseline.run.path} was trained on some of these reviews: its validation split is another "
            f"share than {share}; expected the test split"
        )


def _group_of_dataset(dataset: Dataset, split: str, share: float) -> ReviewGroup:
    about = {
        "data": dataset.source["description"],
        "dataset": str(dataset.directory),
        "split": split,
        "fingerprint": dataset.fingerprint,
    }
    batches = partial(dataset_batches, dataset, split, share)
    return ReviewGroup(about, batches, num_reviews(dataset, split, share), [])


def group_of_texts(
    candidates: Sequence[Candidate],
    baseline: Candidate | None,
    files: Sequence[str],
    settings: FilesSettings,
) -> ReviewGroup:
    """Return labelled text in files with all candidates; each reads it with its own vocabulary.

    Columns and labels are those that the first candidate's data had, unless the settings name others.

    Raises DataError for runs with different labels, InputMissing for a file that is not there.
    """
    scored = [*candidates, baseline] if baseline else list(candidates)
    labels = scored[0].labels
    for each in scored:
        if each.labels != labels:
            raise DataError(
                f"{each.run.path} has the labels {', '.join(each.labels)} and {scored[0].run.path} has "
                f"{', '.join(labels)}; expected runs with the same labels"
            )
    encoders = [each.encoder for each in scored]
    texts = LabelledTexts(files, settings, labels, encoders, *recorded_source(candidates[0].run))
    about: dict[str, Any] = {
        "data": texts.description,
        "dataset": None,
        "split": None,
        "files": list(map(str, files)),
    }
    if texts.label_map:
        about["label_map"] = texts.label_map
    return ReviewGroup(about, texts.batches, None, list(candidates), texts)
