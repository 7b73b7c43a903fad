"""One reader for each format of text, for `prepare` and `predict` alike.

A reader turns a file into blocks of rows (`text.rows`): text, label if there is one, and place.
"""
