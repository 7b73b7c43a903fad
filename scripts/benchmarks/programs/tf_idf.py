"""scikit-learn's text classification: `TfidfVectorizer` of 1-2-grams and `LogisticRegression`.

scikit-learn.org, user guide, 7.2.3: its defaults, but for `ngram_range=(1, 2)`, `max_iter`, since it says
that 100 do not converge, and a pattern that takes every word that the others take.
"""

import task
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

arguments = task.options(__doc__)
model = make_pipeline(
    TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+"), LogisticRegression(max_iter=1000)
)
model.fit(*task.texts(arguments.work / "train.txt"))
task.answer(test_accuracy=model.score(*task.texts(arguments.work / "test.txt")))
