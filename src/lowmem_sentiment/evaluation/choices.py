"""Choose runs' thresholds, temperatures and limits for abstaining, and count their effects."""

from collections import Counter

import numpy as np

from ..dataset.splits import ranked_with_held_out
from ..decisions import abstention, thresholds
from ..decisions.abstention import Abstention, KnownWords
from ..decisions.calibration import Calibration, TemperatureFit
from ..decisions.recorded import check_threshold, decision, find
from ..decisions.settings import RECORDED, DecisionSettings
from ..decisions.thresholds import ChosenThreshold
from ..model.decision import FEW_KNOWN_WORDS, NOT_SURE, Decision
from ..model.numpy_model import num_known
from ..system.errors import SettingsError
from ..system.progress import Progress
from .intervals import reliability, wilson
from .results import Answers, Correction
from .scored_runs import ReviewGroup, ScoredRun, group_by_dataset
from .scoring import Batch, Scores, Tally, score, with_progress
from .settings import EvaluationSettings


def decide(
    runs: list[ScoredRun], baseline: ScoredRun | None, settings: EvaluationSettings, progress: Progress
) -> None:
    """Set how each run decides, by what is chosen now or recorded; `baseline` never chooses.

    Raises SettingsError, InputMissing and DataError, and CheckFailed when nothing satisfies a rule.
    """
    rule, target = settings.choose_threshold, None
    if rule:
        thresholds.parse_rule(rule)
    if settings.abstain and settings.abstain != RECORDED:
        target = abstention.parse_target(settings.abstain)
    wanted = DecisionSettings(
        threshold=RECORDED if rule else settings.threshold,
        abstain=settings.abstain and RECORDED,
        calibrated=RECORDED if settings.calibrate else settings.calibrated,
    )
    for scored in runs:
        if settings.calibrate:
            scored.chosen.append(_calibrate(scored, progress))
        if rule:
            scored.chosen.append(_choose_threshold(scored, rule, progress))
        if target:
            scored.chosen.append(_choose_abstention(scored, target, progress))
        scored.decision = decision(scored.run.path, wanted, scored.labels, scored.chosen)
        if wanted.abstain:
            scored.limits = find(scored.run, Abstention, scored.chosen)
    if baseline:
        recorded = rule and (baseline.run.path / ChosenThreshold.FILE).exists()
        wanted = DecisionSettings(threshold=RECORDED if recorded else settings.threshold)
        baseline.decision = decision(baseline.run.path, wanted, baseline.labels)


def _validation(scored: ScoredRun) -> ReviewGroup:
    (group,) = group_by_dataset([scored], None, [scored.run.find_dataset()], "validation")
    return group


def _unseen_validation(scored: ScoredRun) -> ReviewGroup:
    """Return it; SettingsError if its labels helped to rank the n-grams.

    The model is surer of such texts, and more often right, than of any others.
    """
    group = _validation(scored)
    assert group.dataset
    if why := ranked_with_held_out(group.dataset, scored.validation_share(group.dataset)):
        raise SettingsError(f"{scored.run.path} cannot choose by its validation split: {why}")
    return group


def _choose_threshold(scored: ScoredRun, rule: str, progress: Progress) -> ChosenThreshold:
    check_threshold(0.5, scored.labels)
    group = _validation(scored)
    batches = with_progress(group.batches(), "choose the threshold", group.total, progress)
    (tally,) = score([scored.model], batches)
    assert tally.bins is not None  # `check_threshold` refuses more than two labels
    threshold, metrics = thresholds.choose(rule, tally.bins)
    return ChosenThreshold(*_origin(group), threshold, rule, scored.labels[1], metrics)


def _calibrate(scored: ScoredRun, progress: Progress) -> Calibration:
    group, model, fit = _unseen_validation(scored), scored.numpy_model, TemperatureFit()
    for batch in with_progress(group.batches(), "fit the temperature", group.total, progress):
        fit.add(model.logits(batch.encode(0, model)), batch.labels)
    return Calibration(*_origin(group), fit.temperature(), fit.texts)


def _choose_abstention(scored: ScoredRun, error: float, progress: Progress) -> Abstention:
    """Choose the limits in two passes: of the known words, then of the confidence."""
    group, known, model = _unseen_validation(scored), KnownWords(), scored.model
    for batch in with_progress(group.batches(), "count known words", group.total, progress):
        known.add(*_known_and_words(0, scored, batch, batch.encode(0, model)))
    least, per_word = known.least()
    limits, counts = Decision(least_known=least, least_per_word=per_word), abstention.no_counts()

    def count(batch: Batch, scores: list[Scores]) -> None:
        mine = scores[0]
        enough = limits.knows_enough(*_known_and_words(0, scored, batch, mine.ids))
        abstention.count_by_confidence(counts, mine.probabilities[enough], mine.right[enough])

    batches = with_progress(group.batches(), "choose when to abstain", group.total, progress)
    (tally,) = score([model], batches, observers=[count])
    log_odds, answered, wrong = abstention.choose(error, counts)
    numbers = tally.reviews, answered, wrong
    return Abstention(*_origin(group), error, abstention.CERTAINTY, log_odds, least, per_word, *numbers)


def reasons(nth: int, scored: ScoredRun, batch: Batch, scores: Scores) -> list[str | None]:
    """Return why each review gets no label from the `nth` scored run; None for an answered one."""
    known, words = _known_and_words(nth, scored, batch, scores.ids)
    return scored.decision.reasons(scores.probabilities, known, words)


def _known_and_words(
    nth: int, scored: ScoredRun, batch: Batch, ids: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return int64[reviews] each: the distinct words or n-grams that the model knows, and all words."""
    known = num_known(ids, scored.model.num_words)
    return known, np.array([words for words, _ in batch.counts(nth, scored.encoder)], np.int64)


class AnswerCount:
    """Count which reviews a scored run that abstains answers, and how many of them right."""

    def __init__(self, nth: int, scored: ScoredRun, limits: Abstention):
        self._nth, self._scored, self._limits = nth, scored, limits
        self._reasons: Counter[str | None] = Counter()
        self._right = 0

    def __call__(self, batch: Batch, scores: list[Scores]) -> None:
        mine = scores[self._nth]
        why = reasons(self._nth, self._scored, batch, mine)
        self._reasons.update(why)
        answered = np.array([reason is None for reason in why])
        self._right += int(np.count_nonzero(mine.right & answered))

    def answers(self) -> Answers:
        """Return the counts."""
        answered, right = self._reasons[None], self._right
        return Answers(
            limits=self._limits,
            answered=answered,
            right=right,
            not_sure=self._reasons[NOT_SURE],
            few_known_words=self._reasons[FEW_KNOWN_WORDS],
            error=(answered - right) / max(1, answered),
            error_interval=wilson(answered - right, answered),
        )


class BeforeTemperature:
    """Count a calibrated run's probabilities as they were before."""

    def __init__(self, nth: int, scored: ScoredRun):
        self._nth, self._temperature = nth, scored.decision.temperature
        self.tally = Tally(scored.labels)

    def __call__(self, batch: Batch, scores: list[Scores]) -> None:
        shown = np.maximum(scores[self._nth].probabilities.astype(np.float64), 1e-45)
        logits = np.log(shown) * self._temperature
        logits -= np.logaddexp.reduce(logits, axis=1, keepdims=True)
        losses = -logits[np.arange(len(batch.labels)), batch.labels]
        self.tally.add(batch.labels, np.exp(logits), losses)

    def correction(self) -> Correction:
        """Return how reliable they were."""
        return Correction(self._temperature, *reliability(self.tally))


def _origin(group: ReviewGroup) -> tuple[str, str]:
    assert group.dataset
    return str(group.dataset.directory), group.fingerprint
