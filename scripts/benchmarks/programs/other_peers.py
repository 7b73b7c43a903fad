"""Other text classifiers, with the settings of their documentation: `--peer NAME`.

fasttext: fasttext.cc/docs/en/supervised-tutorial.html (25 epochs, bigrams, rate 0.5; its text is lower
case, with spaces around punctuation). vowpal-wabbit: `--oaa` with `--ngram 2`, one pass, 22 bits. nb-svm:
Wang and Manning 2012, with logistic regression, one label against the rest. tfidf: scikit-learn's user
guide, 7.2.3. Texts are JSON Lines with `text` and `label`; with `--characters` each letter is a word.
"""

import argparse
import json
import re
import tempfile
from pathlib import Path

import numpy as np
from sklearn.metrics import f1_score

NGRAMS = (1, 2)


def read(path: Path, characters: bool) -> tuple[list[str], list[str]]:
    """Return the texts, words and punctuation marks with spaces between, and the labels."""
    pattern = re.compile(r"\w|[^\w\s]" if characters else r"[\w']+|[^\w\s]")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    texts = [" ".join(pattern.findall(row["text"].lower())) for row in rows]
    return texts, [str(row["label"]) for row in rows]


def fasttext(train, labels, test, work, seed):
    """Return the labels that fastText predicts."""
    from fasttext import train_supervised

    names = sorted(set(labels))
    order = np.random.default_rng(seed).permutation(len(train))
    lines = [f"__label__{names.index(labels[nth])} {train[nth]}\n" for nth in order]
    (work / "train.txt").write_text("".join(lines), encoding="utf-8")
    model = train_supervised(
        str(work / "train.txt"), epoch=25, lr=0.5, wordNgrams=2, seed=seed, thread=2, verbose=0
    )
    found = model.f.multilinePredict([f"{text}\n" for text in test], 1, 0.0, "strict")[0]
    return [names[int(each[0].removeprefix("__label__"))] if each else names[0] for each in found]


def vowpal_wabbit(train, labels, test, work, seed):
    """Return the labels that Vowpal Wabbit predicts."""
    from vowpalwabbit import Workspace

    names = sorted(set(labels))
    clean = [text.replace(":", " colon ").replace("|", " bar ") for text in [*train, *test]]
    order = np.random.default_rng(seed).permutation(len(train))
    model = Workspace(f"--oaa {len(names)} --ngram 2 -b 22 --loss_function logistic --quiet")
    for nth in order:
        model.learn(f"{names.index(labels[nth]) + 1} | {clean[nth]}")
    return [names[model.predict(f"| {text}") - 1] for text in clean[len(train) :]]


def nb_svm(train, labels, test, work, seed):
    """Return the labels that NB-SVM predicts."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    words = CountVectorizer(ngram_range=NGRAMS, token_pattern=r"\S+", binary=True, dtype=np.float32)
    rows, test_rows = words.fit_transform(train), words.transform(test)
    names, true = np.unique(labels, return_inverse=True)
    scores = []
    for label in range(len(names)):
        counts = [1 + np.asarray(rows[(true == label) == side].sum(axis=0)).ravel() for side in (1, 0)]
        ratio = np.log(counts[0] / counts[0].sum()) - np.log(counts[1] / counts[1].sum())
        here, there = (each.multiply(ratio.astype(np.float32)).tocsr() for each in (rows, test_rows))
        model = LogisticRegression(max_iter=1000, solver="liblinear").fit(here, true == label)
        scores.append(model.decision_function(there))
    return names[np.argmax(scores, axis=0)].tolist()


def tfidf(train, labels, test, work, seed):
    """Return the labels that logistic regression on TF-IDF predicts."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    words = TfidfVectorizer(ngram_range=NGRAMS, token_pattern=r"\S+")
    rows = words.fit_transform(train)
    return LogisticRegression(max_iter=1000).fit(rows, labels).predict(words.transform(test)).tolist()


PEERS = {"fasttext": fasttext, "vowpal-wabbit": vowpal_wabbit, "nb-svm": nb_svm, "tfidf": tfidf}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=PEERS, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--characters", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    train, test = (
        read(options.data / f"{split}.jsonl", options.characters) for split in ("train", "test")
    )
    with tempfile.TemporaryDirectory() as work:
        predicted = PEERS[options.peer](*train, test[0], Path(work), options.seed)
    right = sum(map(str.__eq__, test[1], predicted)) / len(predicted)
    names = sorted(set(test[1]))  # not a label that is only predicted
    f1 = f1_score(test[1], predicted, labels=names, average="macro", zero_division=0)
    print(json.dumps({"accuracy": right, "macro_f1": float(f1)}))
