"""Check the shards' digests while the first epoch trains on them."""

import threading

import keras

from ..dataset.reader import Dataset
from ..system.errors import DataError


class ShardCheck(keras.callbacks.Callback):
    """Read every shard once more, in a thread, and raise DataError before the first epoch counts.

    TensorFlow checks each record's CRC, which does not see records that were swapped or doubled. SHA-256
    takes 1 ms a MB beside the training: 20 ms for IMDb, and the pages are in the cache for training.
    """

    def __init__(self, dataset: Dataset):
        super().__init__()
        self._dataset = dataset
        self._error: DataError | None = None
        self._thread = threading.Thread(target=self._check, name="shard check", daemon=True)

    def _check(self) -> None:
        try:
            for split in self._dataset.splits:
                self._dataset.verify(split)
        except DataError as error:
            self._error = error

    def on_train_begin(self, logs=None):
        """Begin to read."""
        self._thread.start()

    def on_epoch_end(self, epoch, logs=None):
        """Wait until everything is read; DataError for the first shard that is not the manifest's."""
        self._thread.join()
        if self._error:
            raise self._error
