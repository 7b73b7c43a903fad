"""The ranges that `tune` draws settings from, as numbers and in words."""

LEAST_WORDS = 5_000

HIDDEN: tuple[tuple[int, ...], ...] = ((), (16,), (32,), (64,), (32, 32), (50, 50, 50))

MOST_DROPOUT = 0.8

LEARNING_RATES = 1e-4, 3e-3

BATCH_SIZES = tuple(1 << power for power in range(4, 9))

UNBALANCED = 1.5
"""Class weights are drawn if a label has this many times another label's reviews."""

REVIEWS_OF_FIRST_RUNG = 10_000
"""An epoch with fewer reviews shows little of a setting: small data begins with more epochs."""

RUNGS = 1, 2, 4
"""The epochs of the rungs; a multiple of them if there are few reviews."""

RANGES = f"""\
searched:
  words, n-grams  {LEAST_WORDS:,} to all of them, by logarithm
  hidden layers   {" | ".join(",".join(map(str, units)) or "none" for units in HIDDEN)}
  dropout         0 to {MOST_DROPOUT} after the first layer, half of it after the others
  learning rate   {LEARNING_RATES[0]:g} to {LEARNING_RATES[1]:g}, by logarithm
  batch size      {", ".join(map(str, BATCH_SIZES))}; at most a tenth of the reviews
  class weights   none | balanced, if one has {UNBALANCED} times another's reviews
  optimizer       adam | lazy-adam
  epochs          {", ".join(map(str, RUNGS))}; more with fewer than {REVIEWS_OF_FIRST_RUNG:,} reviews

The recipe's settings are tried first. By the recipe tutorial the best third
of nine settings is trained on to twice the epochs, and the best of these to
four times (successive halving). By the recipe ngrams others are drawn around
it instead: half to twice its epochs and units, a third to three times its
rate and n-grams, dropout 0.2 to 0.8; and the recipe wins unless one is better
by more than half a standard error."""
