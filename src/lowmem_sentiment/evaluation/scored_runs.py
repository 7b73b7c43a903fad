"""The runs to score, with their models, and the labelled reviews to score them on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dataset.reader import Dataset
from ..dataset.splits import num_reviews, ranked_with_held_out
from ..decisions.abstention import Abstention
from ..decisions.recorded import Choice
from ..model.decision import Decision
from ..model.numpy_model import NumpyModel, load_with_vocabulary
from ..runs.run_directory import RunDirectory
from ..runs.training_texts import trained_on
from ..system.errors import DataError, SettingsError, quoted
from ..text.encoders import TextEncoder
from ..text.vocabulary import Vocabulary
from .labelled_texts import LabelledTexts, TextFiles, recorded_source
from .scoring import Batch, dataset_batches

if TYPE_CHECKING:
    from .scoring import Model


@dataclass
class ScoredRun:
    """A run to score; its model is loaded on first use."""

    run: RunDirectory
    decision: Decision = field(default_factory=Decision)
    """How its probabilities become answers."""
    chosen: list[Choice] = field(default_factory=list)
    """The choices made for it on its validation split."""
    limits: Abstention | None = None

    @cached_property
    def _loaded(self) -> tuple[Model, TextEncoder]:
        run = self.run
        if os.path.lexists(run.weights_file) or not run.model_file.exists():
            model, vocabulary = load_with_vocabulary(run)
            return model, TextEncoder(vocabulary, model.metadata.ngrams, model.metadata.tokenizer)
        from ..model.keras_model import load_model  # TensorFlow: 2 s and 540 MB
        from ..model.keras_scores import KerasModel

        num_words = run.config()["settings"]["num_words"]
        encoder = TextEncoder(run.vocabulary(), run.ngrams(), run.tokenizer())
        return KerasModel(load_model(run), self.labels, num_words, run.ngrams()), encoder

    @property
    def model(self) -> Model:
        """The model in NumPy; in Keras if there is a model.keras but no weights.npz.

        Its temperature is the decision's; DataError if a model in Keras is to have one.
        """
        if self.decision.temperature == 1:
            return self._loaded[0]
        return replace(self.numpy_model, temperature=self.decision.temperature)

    @property
    def numpy_model(self) -> NumpyModel:
        """The model with the temperature 1; DataError if it is not in NumPy."""
        model = self._loaded[0]
        if not isinstance(model, NumpyModel):
            raise DataError(
                f"{self.run.path} has other layers than Dense and Dropout, which NumPy does not run; "
                "expected a model that it runs, to calibrate it"
            )
        return model

    @property
    def encoder(self) -> TextEncoder:
        """The encoder that turns texts into the model's ids."""
        return self._loaded[1]

    def vocabulary(self) -> Vocabulary:
        """Read the vocabulary of the model's ids: not kept, as only explanations need it."""
        sha256 = self.model.metadata.vocabulary_sha256 if isinstance(self.model, NumpyModel) else None
        return Vocabulary.load(self.run.vocabulary_file, sha256)

    @property
    def labels(self) -> list[str]:
        """The labels that the model knows, in order."""
        return self.run.config()["labels"] if os.path.lexists(self.run.config_file) else self.model.labels

    def settings(self) -> dict[str, Any]:
        """Return the settings of training and the dataset; empty for weights without a config.json."""
        if not os.path.lexists(self.run.config_file):
            return {}
        config = self.run.config()
        return {**config["settings"], "dataset": config["dataset"]["fingerprint"][:12]}

    def validation_share(self, dataset: Dataset) -> float:
        """Return the share of a dataset's training split that the run was validated on.

        Raises SettingsError when there was none, or the run was trained on a different dataset.
        """
        config = self.run.config()
        share: float = config["settings"].get("validation_split", 0.0)
        if not share:
            first = ""
            if ranked_with_held_out(dataset, 0.1):
                first = "prepare it with --validation-split 0.1 (labels choose its n-grams), then "
            raise SettingsError(
                f"{self.run.path} has no validation split; expected a run that was trained with one of "
                f"{dataset.directory}: {first}lowmem-sentiment train {quoted(dataset.directory)} "
                f"--run {quoted(f'{self.run.path}-validated')} --validation-split 0.1"
            )
        if config["dataset"]["fingerprint"] != dataset.fingerprint:
            raise SettingsError(
                f"{self.run.path} was not trained on {dataset.directory}, so it has no validation split "
                f"there; expected {config['dataset']['path']}"
            )
        return share


@dataclass
class ReviewGroup:
    """Labelled reviews, and the runs that are scored on them in one pass."""

    data: str
    """A description for people."""
    batches: Callable[[], Iterable[Batch]]
    total: int | None = None
    """How many reviews there are, if known."""
    dataset: Dataset | None = None
    split: str | None = None
    texts: LabelledTexts | None = None
    left_out: np.ndarray | None = None
    """int64[n], the places of test reviews that are not scored: the baseline was trained on them."""
    runs: list[ScoredRun] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        """The dataset's fingerprint, or the digest of the texts read so far."""
        return self.dataset.fingerprint if self.dataset else self.texts.fingerprint if self.texts else ""

    def is_test_split_of(self, scored: ScoredRun) -> bool:
        """Whether these are the whole test split of the dataset that a run was trained on."""
        recorded = scored.run.config()["dataset"]["fingerprint"]
        return self.split == "test" and self.left_out is None and recorded == self.fingerprint


def group_by_dataset(
    runs: Sequence[ScoredRun],
    baseline: ScoredRun | None,
    datasets: Sequence[Dataset | str | Path],
    split: str,
) -> list[ReviewGroup]:
    """Return each dataset's split with the runs to score on it, after checking that they fit.

    Without `datasets` each run is scored on the dataset that it was trained on, or on the
    dataset of a run on n-grams. Runs that share a dataset are together. Raises DataError or
    SettingsError for runs, or a baseline, that cannot be scored on these reviews.
    """
    groups: dict[Any, ReviewGroup] = {}
    choices: Sequence[Dataset | str | Path | None] = datasets or [None]
    for given in choices:
        for run in runs:
            owner = _owner_of_shared_dataset(run, baseline, runs)
            dataset = owner.run.find_dataset(given)
            run.run.require_words_of(dataset)
            share = run.validation_share(dataset) if split == "validation" else 0.0
            key = str(dataset.directory.resolve()), share
            if key not in groups:
                left_out = _check_baseline(baseline, dataset, split, share) if baseline else None
                batches = partial(dataset_batches, dataset, split, share, left_out)
                total, data = num_reviews(dataset, split, share), dataset.source["description"]
                groups[key] = ReviewGroup(data, batches, total, dataset, split, left_out=left_out)
            groups[key].runs.append(run)
    return list(groups.values())


def _owner_of_shared_dataset(
    run: ScoredRun, baseline: ScoredRun | None, runs: Sequence[ScoredRun]
) -> ScoredRun:
    """Return the run whose dataset a run is scored on: itself, or a run on n-grams.

    A dataset of n-grams has the words too: a run on the same words is scored on it, so that both are
    compared on the same reviews.
    """
    if run.run.ngrams():
        return run
    if baseline and baseline.run.ngrams():
        return baseline
    for other in runs:
        with contextlib.suppress(DataError):
            if other.run.ngrams():
                run.run.require_words_of(other.run.find_dataset())
                return other
    return run


def _check_baseline(baseline: ScoredRun, dataset: Dataset, split: str, share: float) -> np.ndarray | None:
    """Return the places of test reviews that the baseline was trained on; raises for another dataset."""
    baseline.run.require_words_of(dataset)
    if share and baseline.validation_share(dataset) != share:
        raise SettingsError(
            f"{baseline.run.path} was trained on some of these reviews: its validation split is not "
            f"{share}; expected the test split"
        )
    return trained_on(baseline.run, dataset) if split == "test" else None


def group_of_texts(
    runs: Sequence[ScoredRun], baseline: ScoredRun | None, files: TextFiles, skip_bad_rows: int
) -> ReviewGroup:
    """Return labelled text in files with all runs; each reads it with its own vocabulary.

    Columns and labels are read as in the first run's data, unless the settings say otherwise.

    Raises DataError for runs with different labels, InputMissing for a missing file.
    """
    scored = [*runs, baseline] if baseline else list(runs)
    labels = scored[0].labels
    for each in scored:
        if each.labels != labels:
            raise DataError(
                f"{each.run.path} has the labels {', '.join(each.labels)} and {scored[0].run.path} has "
                f"{', '.join(labels)}; expected runs with the same labels"
            )
    encoders, recorded = [each.encoder for each in scored], recorded_source(runs[0].run)
    texts = LabelledTexts(files, labels, encoders, recorded, skip_bad_rows)
    return ReviewGroup(texts.description, texts.batches, texts=texts, runs=list(runs))
