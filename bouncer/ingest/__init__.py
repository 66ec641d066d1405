"""The doors: check who knocks, store, answer. No parsing of mail."""
