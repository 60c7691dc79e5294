"""`python -m trainwell` to the command line."""

from trainwell.cli import main

main()
