"""Text to words and ids: tokenizer, vocabulary, and a reader for each format."""
