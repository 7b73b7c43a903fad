"""Vowpal Wabbit with hinge loss, `--ngrams` 1 to 3, one pass: as mlcourse.ai, topic 8, has it for IMDb.

mlcourse.ai/book/topic08/topic08_sgd_hashing_vowpal_wabbit.html: `vw -d train --loss_function hinge
-f model`, with `--ngram 2` for bigrams, then `vw -i model -t -d test -p predictions`.
"""

import task
from vowpalwabbit import Workspace

arguments = task.options(__doc__, "--ngrams")
work = arguments.work
ngrams = "" if arguments.ngrams == "1" else f"--ngram {arguments.ngrams}"
Workspace(f"-d {work}/train.txt --loss_function hinge {ngrams} -f {work}/model --quiet").finish()
Workspace(f"-i {work}/model -t -d {work}/test.txt -p {work}/predictions --quiet").finish()
with open(work / "test.txt") as truths, open(work / "predictions") as predictions:
    pairs = zip(truths, predictions, strict=True)
    right = [(float(prediction) > 0) == truth.startswith("1") for truth, prediction in pairs]
task.answer(test_accuracy=sum(right) / len(right))
