"""Makes `python -m cartrita` the command line."""

from cartrita.cli import main

if __name__ == "__main__":
    main()
