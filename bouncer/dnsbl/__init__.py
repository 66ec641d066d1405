"""Blocklists (RFC 5782): who lists our addresses and domains, and when that changes.

`zones.toml` is what we know of public lists, `zones.py` reads it and the operator's own,
`targets.py` what is to be looked up. `lookup.py` asks DNS, in the pace of `rate.py`; `client.py`
asks one zone, about targets and about itself. `health.py` says whether a zone is believed,
`episode.py` what an answer changes. `monitor.py` is the worker, `gauges.py` its metrics,
`check.py` a one-off look.
"""
