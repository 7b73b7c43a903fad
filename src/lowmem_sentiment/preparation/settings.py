"""The settings of preparing a dataset."""

from dataclasses import dataclass
from pathlib import Path

from ..dataset.manifest import EVIDENCE, FREQUENCY, NGRAMS, RECIPES
from ..system.memory import MB
from ..system.settings import Settings, setting
from ..text.reader_settings import BAD_ROWS
from ..text.vocabulary import MAX_NGRAM, TOKENIZERS

RANKS = (EVIDENCE, FREQUENCY)

# With fewer words in the training reviews, n-grams of two words are enough, and n-grams in a single
# review are worth keeping: by cross-validation seven sets of short texts reach 0.866, without n-grams in
# a single review 0.862, with three words 0.864. IMDb, with 9 million words, reaches 0.932 with three
# words in two reviews at least, and 0.930 with two.
MANY_TOKENS = 1_000_000

SKIPPED_ROWS = "skipped-rows.txt"


def _megabytes(text: str) -> int:
    return int(float(text) * MB)


TEXTS_ONLY = ("tokenizer", "vocabulary", "max_vocabulary", "skip_bad_rows")
"""Settings that mean nothing for a source of token ids."""


@dataclass(frozen=True)
class PreparationSettings(Settings):
    """How texts become a dataset, and what a model reads of a review.

    Each setting but `workers` changes what is written.
    """

    recipe: str | None = setting(
        None,
        "how the data is prepared, and how train uses it unless its options say otherwise. ngrams: "
        "n-grams, punctuation marks among the words, a network and a schedule that follow the data; "
        "tutorial: words, and the tutorial's network (default: ngrams for files, tutorial for imdb "
        "and reuters)",
        choices=RECIPES,
    )
    ngrams: int | None = setting(
        None,
        "let the model read n-grams of 1 to N neighbouring words; 1: words (default: 1 for the recipe"
        " tutorial; 2 for ngrams, or 3 if the training reviews have a million words or more)",
        at_least=1,
        at_most=MAX_NGRAM,
    )
    rank: str | None = setting(
        None,
        "which n-grams to keep: the ones that indicate a label most surely in the training reviews, "
        "or the most frequent (default: evidence for n-grams, frequency for words)",
        choices=RANKS,
    )
    max_features: int | None = setting(
        None,
        "keep the first K n-grams; the recipe ngrams trains on all of them (default: 100,000 by this "
        "recipe, 400,000 by the recipe tutorial)",
        metavar="K",
        at_least=1,
    )
    vocabulary_memory: int = setting(
        256 * MB,
        "memory for counting words and n-grams; when it is full, the rarest are dropped (default: 256)",
        metavar="MB",
        read=(_megabytes, "a number of MB, 1 or more"),
        at_least=MB,
    )
    """In bytes (`lossy_counting.py`)."""
    min_count: int = setting(
        1, "drop words that occur less often, and n-grams in fewer reviews", at_least=1
    )
    validation_split: float = setting(
        0.0,
        "count and rank n-grams without the training reviews that train and tune hold out with the "
        "same --validation-split, so that validation is as honest about n-grams as the test",
        metavar="SHARE",
        at_least=0,
        below=1,
    )
    workers: int | None = setting(
        None, "processes; changes no byte of the result (default: one per processor)", at_least=1
    )

    tokenizer: str | None = setting(
        None,
        "how to split a text into words. unicode: lower case, and boundaries at spaces, punctuation, "
        'dashes and quotes of any script; "l\'été" is two words, "don\'t" is one, an emoji is one; for '
        "every language with spaces between words. unicode-punctuation: each punctuation mark and "
        "symbol is a word as well. characters: each letter is a word, for Chinese, Japanese or Thai, "
        "best with --ngrams 2 or 3. keras: as Keras' imdb.npz was made, only for English: lower case "
        "and punctuation of ASCII only. It is recorded, and predict, evaluate and export use it "
        "(default: unicode-punctuation for files, unicode with --recipe tutorial, or the tokenizer of"
        " --vocabulary; keras for imdb)",
        choices=TOKENIZERS,
    )
    vocabulary: Path | None = setting(
        None,
        "use the words of this dataset or run, with its tokenizer, its n-grams and its columns, so that "
        "training can continue from its model (train --from RUN); or of a vocabulary.txt, one word per "
        "line (default: count the words of the training split)",
        metavar="RUN|DATASET|FILE",
    )
    max_vocabulary: int | None = setting(
        None, "keep the N most frequent words (default: all)", at_least=1
    )
    skip_bad_rows: int = setting(
        0,
        f"skip up to N bad rows, or all of them, and list them in DIR/{SKIPPED_ROWS}; a row with too "
        "many or too few columns counts as the lines it takes up",
        read=BAD_ROWS,
        at_least=0,
    )

    @property
    def ranked_by(self) -> str:
        """The ranking, its default filled in."""
        return self.rank or (EVIDENCE if self.recipe == NGRAMS or (self.ngrams or 1) > 1 else FREQUENCY)

    def ngrams_of(self, training_tokens: int) -> int:
        """Return how many words an n-gram has at most, the default filled in."""
        if self.ngrams or self.recipe != NGRAMS:
            return self.ngrams or 1
        return 2 if training_tokens < MANY_TOKENS else 3

    @property
    def num_features(self) -> int:
        """How many n-grams to keep, the default filled in."""
        return self.max_features or (100_000 if self.recipe == NGRAMS else 400_000)

    @property
    def wanted(self) -> bool:
        """Whether a model is to read anything but words in the order of their frequency."""
        return self.recipe == NGRAMS or (self.ngrams or 1, self.ranked_by) != (1, FREQUENCY)
