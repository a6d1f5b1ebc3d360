"""`python -m giblet`."""

from giblet.cli import main

main()
