"""The reference engine: the rules of `docs/reference/rules.md`, naive and exact, with nothing imported from `backtest`.

Plain loops, Python integers for money and lots, `fractions.Fraction` for everything between. It is slow on
purpose: each rule can be read off the page beside it, and the compiled engine must agree to the micro-unit.
"""
