"""Outbox rows to signed HTTP requests.

`deliver.py` works off the outbox, `post.py` makes one attempt over a checked connection, `retry.py`
says what follows from its answer.
"""
