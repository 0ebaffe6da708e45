"""`python -m c2s_enrich`: the same as the console script."""

from c2s_enrich.cli.entry import main

if __name__ == "__main__":
    main()
