"""Raw evidence in, `Report` out: one module per format, no I/O. Start at `read.py`."""
