"""`python -m seedtest` is the `seedtest` command."""

from seedtest.cli import main

main()
