"""The store: `database.py` commits, `schema.py` has the tables, each subject has its module."""
