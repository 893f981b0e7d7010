"""`python -m celda` is `celda`."""

from celda.cli import main

main()
