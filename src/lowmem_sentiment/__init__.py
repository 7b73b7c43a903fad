"""lowmem-sentiment: the tf.data streaming trainer for memory-constrained servers."""

__version__ = "0.1.0"
