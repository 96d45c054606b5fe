"""`python -m migrator.cli` is the command `migrator`."""

from migrator.cli.main import run_main

run_main()
