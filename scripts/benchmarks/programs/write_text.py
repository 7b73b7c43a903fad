"""Write the reviews as text, in the form that fastText or Vowpal Wabbit reads: train.txt, test.txt."""

import task

arguments = task.options(__doc__, "--format")
FORMS = {
    "fasttext": ("__label__0 ", "__label__1 "),
    "vowpal-wabbit": ("-1 | ", "1 | "),
}

source = task.source()
words = source.vocabulary()
before = FORMS[arguments.format]
arguments.work.mkdir(exist_ok=True)
with (
    open(arguments.work / "train.txt", "w", encoding="utf-8") as train,
    open(arguments.work / "test.txt", "w", encoding="utf-8") as test,
):
    files = {"train": train, "test": test}
    for split, block in source.blocks():
        first = 0
        for length, label in zip(block.lengths.tolist(), block.labels.tolist(), strict=True):
            ids = block.token_ids[first + 1 : first + length].tolist()  # without the start id
            files[split].write(f"{before[label]}{words.decode(ids)}\n")
            first += length
task.answer()
