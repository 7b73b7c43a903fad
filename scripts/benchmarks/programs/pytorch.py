"""PyTorch: `EmbeddingBag` instead of multi-hot rows, the same layers after it, fused Adam.

The first layer sums the rows of its weights at a review's distinct words, which is what a multi-hot
row times the weights is. Words are batched as PyTorch's text classification tutorial does it
(`torch.cat` and offsets; docs.pytorch.org, "Text classification with the torchtext library"), without a
`DataLoader`, which costs more than it gives where everything is in memory.
"""

import time

import task
import torch
from torch import nn

arguments = task.options(__doc__)


class Network(nn.Module):
    """int64[words] and int64[batch] offsets -> float32[batch] log-odds."""

    def __init__(self):
        super().__init__()
        self.words = nn.EmbeddingBag(task.NUM_WORDS, 50, mode="sum")
        self.bias = nn.Parameter(torch.zeros(50))
        self.rest = nn.Sequential(
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(50, 50),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(50, 50),
            nn.ReLU(),
            nn.Linear(50, 1),
        )
        for layer in (self.words, *self.rest):  # as Keras' Dense layers begin
            if hasattr(layer, "weight"):
                nn.init.xavier_uniform_(layer.weight)
            if getattr(layer, "bias", None) is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, ids, offsets):
        return self.rest(self.words(ids, offsets) + self.bias).squeeze(1)


class Reviews:
    """One split's reviews in memory, in batches of `task.BATCH_SIZE`."""

    def __init__(self, ids, splits, labels):
        self.lengths = torch.from_numpy(splits).diff()
        self.bags = torch.from_numpy(ids).long().split(self.lengths.tolist())
        self.labels = torch.from_numpy(labels).float()

    def batches(self, order):
        for chosen in order.split(task.BATCH_SIZE):
            lengths = self.lengths[chosen]
            ids = torch.cat([self.bags[nth] for nth in chosen.tolist()])
            yield ids, lengths.cumsum(0) - lengths, self.labels[chosen]


# As TensorFlow does on its own. Adam's moments of rare words become denormal numbers, with which some
# processors are slow: the second epoch took 4.0 s here, and takes 1.7.
torch.set_flush_denormal(True)
torch.manual_seed(arguments.seed)
begun = time.monotonic()
sets = task.word_sets()
train, test = (Reviews(*sets.pop(split)) for split in ("train", "test"))
preparation_seconds = time.monotonic() - begun

network = Network()
loss_of = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(network.parameters(), lr=0.001, fused=True)
epoch_seconds = []
for _ in range(task.EPOCHS):
    begun = time.monotonic()
    network.train()
    for ids, offsets, labels in train.batches(torch.randperm(len(train.labels))):
        optimizer.zero_grad()
        loss_of(network(ids, offsets), labels).backward()
        optimizer.step()
    epoch_seconds.append(time.monotonic() - begun)
    network.eval()
    with torch.no_grad():
        right = sum(
            int(((network(ids, offsets) > 0) == labels.bool()).sum())
            for ids, offsets, labels in test.batches(torch.arange(len(test.labels)))
        )
task.answer(
    preparation_seconds=preparation_seconds,
    epoch_seconds=epoch_seconds,
    test_accuracy=right / len(test.labels),
)
