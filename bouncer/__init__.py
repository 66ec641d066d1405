"""bouncer: takes the bounces of your mail, says what they mean, watches blocklists, and tells you.

Read `pipeline.py` first, then `docs/flow.md`.
"""

__version__ = "0.1.0"
