"""`python -m bouncer` is the `bouncer` command."""

from bouncer.cli.main import main

main()
