"""scikit-learn on sparse rows (CSR, float32): `MLPClassifier` or `LogisticRegression`.

`--model mlp`: the same hidden layers, batch size and epochs, and its default Adam at the same rate; it
has no dropout. `--model logistic`: the defaults, but for `max_iter`, since it says that 100 do not
converge (scikit-learn.org, user guide, 1.17 and 1.1.11).
"""

import time
import warnings

import numpy as np
import task
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

arguments = task.options(__doc__, "--model")

begun = time.monotonic()
rows, labels = {}, {}
for split, (ids, splits, these) in task.word_sets().items():
    rows[split] = csr_matrix(
        (np.ones(len(ids), np.float32), ids, splits), shape=(len(these), task.NUM_WORDS)
    )
    labels[split] = these
preparation_seconds = time.monotonic() - begun

if arguments.model == "mlp":
    model = MLPClassifier(
        (50, 50, 50), batch_size=task.BATCH_SIZE, max_iter=task.EPOCHS, random_state=arguments.seed
    )
    warnings.simplefilter("ignore", ConvergenceWarning)  # two epochs are what is asked for
else:
    model = LogisticRegression(max_iter=1000)
model.fit(rows["train"], labels["train"])
task.answer(
    preparation_seconds=preparation_seconds,
    test_accuracy=model.score(rows["test"], labels["test"]),
)
