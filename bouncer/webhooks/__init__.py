"""Outbox rows to signed HTTP requests: `deliver.py` sends and retries."""
