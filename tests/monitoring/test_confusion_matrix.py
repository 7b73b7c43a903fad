import numpy as np
import pytest

from lowmem_sentiment.monitoring.confusion_matrix import draw_confusion_matrix, numbered_labels


@pytest.mark.parametrize("count", [2, 7, 77, 1_000])
def test_the_diagonal_is_dark_and_the_size_does_not_grow_with_the_labels(count):
    labels = [f"a long label \n{nth}" for nth in range(count)]
    counts = np.eye(count, dtype=np.int32) * 1_000_000 + 3
    picture = draw_confusion_matrix(counts, labels)
    assert picture.height < picture.width <= 220 + 1_000 + 10
    cell = (picture.width - 230) / count
    for nth in (0, count - 1):
        place = (round(220 + (nth + 0.2) * cell), round(84 + (nth + 0.2) * cell))
        assert picture.getpixel(place) == (31, 119, 180)
    assert picture.getpixel((round(220 + 1.2 * cell), round(84 + 0.2 * cell))) != (255, 255, 255)


def test_a_label_of_any_length_is_cut():
    few, many = (["ok", "N" * 1_000_000, *map(str, range(more))] for more in (0, 40))
    for labels in (few, many):
        draw_confusion_matrix(np.ones((len(labels), len(labels)), int), labels)


def test_labels_that_the_font_cannot_write_are_numbered():
    labels = ["negative", "差评", "مُمتاز", "x" * 50 + "差", "👨‍👩‍👧", "plain"]
    assert numbered_labels(labels) == [2, 3, 4, 5]
