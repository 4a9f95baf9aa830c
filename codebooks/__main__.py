"""`python -m codebooks`: the command line without the console script."""

from codebooks.cli import main

if __name__ == "__main__":
    main()
