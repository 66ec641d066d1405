"""Blocklists: `zones.toml` is what we know, `lookup.py` asks, `monitor.py` tells changes."""
