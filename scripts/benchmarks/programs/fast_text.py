"""fastText with its defaults (5 epochs, rate 0.1, 100 dimensions), `--ngrams 1` or 2, on all cores.

fasttext.cc/docs/en/python-module.html: `train_supervised(input=...)`; `wordNgrams=2` as its tutorial,
fasttext.cc/docs/en/supervised-tutorial.html, "Word n-grams". Its Python module would leave one core idle.
"""

import os

import fasttext
import task

arguments = task.options(__doc__, "--ngrams")
model = fasttext.train_supervised(
    input=str(arguments.work / "train.txt"),
    wordNgrams=int(arguments.ngrams),
    thread=len(os.sched_getaffinity(0)),
    seed=arguments.seed,
    verbose=0,
)
count, precision, recall = model.test(str(arguments.work / "test.txt"))
task.answer(test_accuracy=precision)  # one label a review: precision is accuracy
