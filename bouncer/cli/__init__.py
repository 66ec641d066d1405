"""The commands: `main.py` joins them, `output.py` prints, and each group has its module."""
