"""The dataset directory: its format, how it is read, written and explored."""
