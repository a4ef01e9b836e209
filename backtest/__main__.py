"""`python -m backtest` is the command `backtest`."""

from backtest.cli import main

if __name__ == "__main__":
    main()
