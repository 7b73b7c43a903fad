"""NB-SVM with bigrams, as Wang and Manning have it (ACL 2012, "Baselines and Bigrams", section 2.3).

Binary rows of 1-2-grams times the log-count ratio of naive Bayes, a linear SVM with squared hinge loss,
and its weights interpolated with their mean magnitude; alpha 1, C 1 and beta 0.25, as published.
"""

import numpy as np
import task
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.svm import LinearSVC

ALPHA, BETA, C = 1.0, 0.25, 1.0

arguments = task.options(__doc__)
vectorizer = CountVectorizer(ngram_range=(1, 2), token_pattern=r"\S+", binary=True, dtype=np.float32)
texts, positive = task.texts(arguments.work / "train.txt")
rows = vectorizer.fit_transform(texts)
del texts
counts = [
    ALPHA + np.asarray(rows[positive == side].sum(axis=0), np.float64).ravel() for side in (True, False)
]
ratio = np.log(counts[0] / counts[0].sum()) - np.log(counts[1] / counts[1].sum())
scale = ratio.astype(np.float32)
rows.data *= scale[rows.indices]
svm = LinearSVC(C=C, dual=True, random_state=arguments.seed).fit(rows, positive)
weights = svm.coef_.ravel()
weights = (1 - BETA) * np.abs(weights).mean() + BETA * weights
texts, positive = task.texts(arguments.work / "test.txt")
rows = vectorizer.transform(texts)
rows.data *= scale[rows.indices]
right = (rows @ weights + svm.intercept_[0] > 0) == positive
task.answer(test_accuracy=float(right.mean()))
