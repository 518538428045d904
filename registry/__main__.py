"""`python -m registry`: the `registry` command."""

from registry.cli.main import main

main(prog_name="registry")
