import pytest

from lowmem_sentiment.system.memory import MB
from lowmem_sentiment.system.settings import parse_size


def test_sizes_are_read_with_their_units():
    sizes = [parse_size(text) for text in ("700M", "1.5G", "32Mi", "32MiB", "2k", "300", "5 MB")]
    assert sizes == [700 * MB, 1500 * MB, 32 << 20, 32 << 20, 2000, 300, 5 * MB]
    for text in ("", "M", "much", "-1M", "0", "nanM", "infG"):
        with pytest.raises((ValueError, OverflowError)):
            parse_size(text)
