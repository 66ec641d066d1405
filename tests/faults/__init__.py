"""Faults injected for real: kills, failing system calls, full disks, stopped stores, mail bombs.

`make test` runs each in short, `make faults SCALE=full` at the figures of docs/reliability.md.
"""
