"""The HTML report: numbers as people read them, sentences that are true, a page that is whole and asks for nothing."""

from __future__ import annotations

import base64
import dataclasses
import json
import time
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from backtest.report import formatting as fmt
from backtest.report.caveats import omissions
from backtest.report.figure import plain
from backtest.report.narrative import comparison_words, run_words
from backtest.report.outcome import by_symbol, held, outcome
from backtest.report.packing import unpacked
from backtest.report.page import render_comparison
from backtest.report.run_page import render
from backtest.results.result import Result
from tests.unit.test_report_accounts import CASH, START_MS, Life, account

INLINE = {"span", "code"}
VOID = {"meta", "br", "hr", "img", "input", "link"}
ISOLATED = Life(margin="isolated", lost=("BTC-USD",), bad_debt=12.5, rejected=3)
CROSS = Life(ambiguous=2, rejected=250)


def _numbers(value: dict[str, Any]) -> Any:
    """A typed array as a list; a gap is None."""
    if "bdata" not in value:
        return value
    numbers = np.frombuffer(base64.b64decode(value["bdata"]), f"<{value['dtype']}").tolist()
    return [None if number != number else number for number in numbers]


class Page(HTMLParser):
    """What a page says and what it would fetch; a tag that is not closed in order is an error."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.texts: list[str] = []
        self.fetched: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.scripts: dict[str, str] = {}
        self._script = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        asked = [given[name] or "" for name in ("src", "href", "srcset", "data", "poster") if name in given]
        self.fetched += [place for place in asked if not place.startswith("#")]
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self._script = str(given.get("id", ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag
        if tag not in INLINE:
            self.texts.append(" ")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[self._script] = self.scripts.get(self._script, "") + data
        elif self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    @property
    def figures(self) -> dict[str, Any]:
        return dict(json.loads(unpacked(self.scripts["figures"]), object_hook=_numbers))


@pytest.fixture(scope="module")
def cross() -> Result:
    return account(CROSS)


@pytest.fixture(scope="module")
def isolated() -> Result:
    return account(ISOLATED)


def test_sources_add_up_to_the_change(isolated: Result) -> None:
    out = outcome(isolated)
    assert sum(out.sources.values()) == pytest.approx(out.change, abs=1e-6)
    assert out.sources["Bad debt borne by others"] == 12.5
    assert out.sources["Fees"] == -isolated.metrics["fees"]
    (loss,) = out.losses
    assert (loss.symbols, loss.pool, loss.bad_debt) == (("BTC-USD",), "BTC-USD", 12.5)
    shares = by_symbol(isolated)
    assert shares["funding"].sum() == pytest.approx(isolated.metrics["funding"])
    assert shares["penalties"].sum() == pytest.approx(-isolated.metrics["penalties"])


def _words(*lives: Life) -> str:
    results = [account(life) for life in lives]
    return " ".join(comparison_words(results, [outcome(result) for result in results]))


def _ended(result: Result, equity: float) -> Result:
    """The same account with another end, to compare known numbers."""
    return Result(result.label, result.summary | {"metrics": result.metrics | {"final_equity": equity}}, result.tables)


def test_verdict_isolated_loses_a_leg_and_cross_keeps_both(isolated: Result, cross: Result) -> None:
    results = [_ended(isolated, 10_000.0), _ended(cross, 11_234.0)]
    words = comparison_words(results, [outcome(result) for result in results])
    # Row 1,203 of hourly candles closes 1,204 h after the start: 50 days and 4 hours after 1 January 2020.
    fate = "Isolated lost BTC-USD at 04:00 on 20 February 2020; cross was never liquidated and kept both positions, "
    fate += "BTC-USD and ETH-USD"
    # 38 orders were filled, 250 rejected, at the first closes.
    assert words == [
        "In cross, 250 of 288 orders were rejected (not enough margin), first at 01:00 on 1 January 2020.",
        f"{fate}, but 250 of 288 orders were rejected.",
        "Cross ended 1,234.00 higher: 11,234.00 against 10,000.00.",
        "In isolated, 12.50 of the loss exceeded the margin account's equity and was borne by others.",
        "In cross, 2 candles are ambiguous: the price path inside decides about a liquidation.",
    ]
    assert held(cross, START_MS) == []


def test_verdict_cross_loses_all_and_isolated_one() -> None:
    both = ("BTC-USD", "ETH-USD")
    words = _words(Life(margin="cross", lost=both), Life(margin="isolated", lost=("ETH-USD",)))
    assert words.startswith("Cross lost BTC-USD and ETH-USD at 04:00 on 20 February 2020; isolated lost ETH-USD at")
    assert "kept" not in words


def test_verdict_on_one_account() -> None:
    result = _ended(account(Life(margin="cross")), 10_500.0)
    words = comparison_words([result], [outcome(result)])
    assert words[0] == "Cross was never liquidated."
    assert words[1].startswith("Cross ended with 10,500.00")


def test_verdict_without_liquidation() -> None:
    words = _words(Life(margin="isolated"), Life(margin="cross"))
    assert (
        words == f"Neither mode was liquidated. Both ended with the same equity, {outcome(account(Life())).end:,.2f}."
    )


def test_verdict_without_trades() -> None:
    words = _words(Life(margin="isolated", trades=False), Life(margin="cross", trades=False))
    assert words.startswith("No trades: the strategy sent no order. Both ended with the same")


def test_verdict_of_three(cross: Result) -> None:
    results = [
        _ended(dataclasses.replace(cross, label=name), end) for name, end in (("a", 9.0), ("b", 12.5), ("c", 12.5))
    ]
    words = comparison_words(results, [outcome(result) for result in results])
    assert words[1:3] == ["No mode was liquidated.", "B ended highest, with 12.50; c the same; a 3.50 lower."]


def test_many_liquidations_are_counted() -> None:
    names = tuple(f"S{i}-USD" for i in range(6))
    words = _words(Life(margin="isolated", symbols=names, lost=names), Life(margin="cross", symbols=names, lost=names))
    # Six pools go one by one, too many to name them all. One cross pool goes with all six positions.
    when = "at 04:00 on 20 February 2020"
    assert words.startswith(f"Isolated was liquidated 6 times: it lost S0-USD {when} first and S5-USD {when} last; ")
    assert "cross lost all 6 positions at 04:00" in words


def test_words_of_a_run(cross: Result, isolated: Result) -> None:
    lost = run_words(isolated, outcome(_ended(isolated, 12_500.0)), "USDC")
    assert lost[:2] == [
        "The account started with 10,000.00 USDC and ended with 12,500.00 USDC (2,500.00 more, 25.00%).",
        "It lost BTC-USD at 04:00 on 20 February 2020.",
    ]
    still = run_words(cross, outcome(_ended(cross, CASH)), "")
    assert still[1] == "The account started with 10,000.00 and ended with 10,000.00, no change."


LIVES = [
    ISOLATED,
    CROSS,
    Life(trades=False, synthetic=False),
    Life(funding=False),
    Life(rows=1, trades=False),
    Life(rows=40, symbols=tuple(f"S{i:02d}" for i in range(20))),
    Life(margin="isolated", rows=300, symbols=tuple(f"S{i:02d}" for i in range(12)), lost=("S03",)),
    Life(rows=20_000, interval_ms=60_000),
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("life", LIVES)
def test_run_page_is_whole(life: Life) -> None:
    result = account(life)
    html = render(result)
    page = Page(html)
    assert page.fetched == []
    assert "url(" not in html.split("</style>", maxsplit=1)[0]
    assert len(page.ids) == len(set(page.ids))
    for name, value in result.metrics.items():
        assert f"{fmt.metric(name, life.trades).title} {fmt.text(name, value)}" in page.text, name
    assert ("SYNTHETIC DATA" in page.text) is life.synthetic
    for word in (
        result.digest,
        "ab" * 32,
        "polars 2.1.0",
        "generic",
        "5 bps",
        "250 ms",
        "Derived marks 1,284",
        "decides every 1h",
    ):
        assert word in page.text
    assert render(result) == html


@pytest.mark.filterwarnings("error")
def test_comparison_page_is_whole(isolated: Result, cross: Result) -> None:
    html = render_comparison([isolated, cross])
    page = Page(html)
    assert page.fetched == []
    assert render_comparison([isolated, cross]) == html
    for name in isolated.metrics:
        ours, theirs = (fmt.text(name, r.metrics[name]) for r in (isolated, cross))
        gap = fmt.difference(name, cross.metrics[name], isolated.metrics[name])
        assert f"{fmt.metric(name).title} {ours} {theirs} {gap}" in page.text, name
    assert "Margin mode isolated cross" in page.text
    names = [trace["name"] for trace in page.figures["equity"]["data"]]
    assert names == ["isolated", "isolated", "isolated liquidated", "cross", "cross"]
    by_name = {trace["name"]: trace["line"]["color"] for trace in page.figures["equity"]["data"] if "line" in trace}
    assert by_name == {"isolated": "var(--mode-isolated)", "cross": "var(--mode-cross)"}
    flipped = Page(render_comparison([cross, isolated])).figures["equity"]["data"]
    assert flipped[0]["line"]["color"] == "var(--mode-cross)"  # a mode keeps its colour wherever it stands


def test_what_the_results_leave_out_stands_above_them(cross: Result, isolated: Result) -> None:
    def told(*clauses: str) -> dict[str, Any]:
        return {"summary": cross.summary | {"warnings": list(clauses)}}

    free = dataclasses.replace(cross, **told("no fees charged (--fee-bps is 0)", "no slippage charged"))
    said = "No fees charged (--fee-bps is 0); no slippage charged."
    assert omissions([free, free]) == said
    assert omissions([free, isolated]) == (
        "Cross: no fees charged (--fee-bps is 0); cross: no slippage charged; "
        "isolated: no slippage charged (set --slippage-bps or --slippage)."
    )
    assert omissions([dataclasses.replace(cross, **told())]) == ""
    text = Page(render_comparison([free, free])).text
    assert text.index(said) < text.index("Equity at the end")
    text = Page(render(free)).text
    assert text.index("No fees charged (--fee-bps is 0). No slippage charged.") < text.index("Return")


def test_runs_on_other_data_are_not_silently_compared(cross: Result) -> None:
    data = cross.summary["data"] | {"fingerprint": "another"}
    other = Result("other", cross.summary | {"data": data}, cross.tables)
    assert "not on the same data" in Page(render_comparison([cross, other])).text
    assert "not on the same data" not in Page(render_comparison([cross, dataclasses.replace(cross, label="x")])).text


def test_one_result_can_be_compared_with_none(cross: Result) -> None:
    assert "The runs have the same settings." in Page(render_comparison([cross])).text


def test_figures_show_the_tables(isolated: Result) -> None:
    figures = Page(render(isolated)).figures
    equity, fall, marks = figures["equity"]["data"]
    ts = isolated.tables["equity"]["ts"].dt.epoch("ms").to_list()
    assert equity["x"] == ts  # 2,000 candles need no thinning
    np.testing.assert_allclose(equity["y"], isolated.tables["equity"]["equity"], atol=1e-6)
    np.testing.assert_allclose(fall["y"], isolated.tables["equity"]["drawdown"], atol=1e-6)
    assert marks["x"] == isolated.tables["liquidations"]["ts"].dt.epoch("ms").to_list()
    pools = {trace["name"]: trace for trace in figures["margin"]["data"] if trace["mode"] == "lines"}
    assert set(pools) == {"BTC-USD", "ETH-USD", "Initial margin (no new risk above)"}
    at = marks["x"][0]
    # The ratio meets 1 at the liquidation, in the pool that was lost and in no other.
    assert pools["BTC-USD"]["y"][pools["BTC-USD"]["x"].index(at)] == 1.0
    assert 1.0 not in pools["ETH-USD"]["y"]
    flows = {trace["name"]: trace["y"][-1] for trace in figures["flows"]["data"]}
    m = isolated.metrics
    costs = {name: -m[name.lower()] for name in ("Fees", "Spread", "Impact", "Latency")}
    costs["Liquidation penalties"] = -m["penalties"]
    assert flows == pytest.approx({"Funding": m["funding"], **costs}, abs=1e-5)
    (fall_of_water,) = figures["sources"]["data"]
    some = [name for name, amount in outcome(isolated).sources.items() if abs(amount) >= 0.005]
    assert len(fall_of_water["x"]) == len(some) + 1  # the sources that are not zero, and the change of equity
    assert sum(fall_of_water["x"][:-1]) == pytest.approx(fall_of_water["x"][-1], abs=1e-6)


def test_thinned_charts_say_so() -> None:
    page = Page(render(account(Life(rows=20_000, interval_ms=60_000))))
    # ⌈20,000 / 1,500⌉ = 14
    assert "Shown: lowest and highest of each 14 candles." in page.text
    assert max(page.figures["equity"]["data"][0]["y"]) == pytest.approx(
        account(Life(rows=20_000, interval_ms=60_000)).tables["equity"]["equity"].max(), abs=1e-6
    )


def test_long_tables_are_cut_and_say_so(cross: Result) -> None:
    page = Page(render(cross))
    assert "First 200 of 250; all are in orders.parquet." in page.text
    assert page.text.count("would not cover initial 12,000.00") == 200


def test_empty_states_read_well() -> None:
    page = Page(render(account(Life(trades=False))))
    for sentence in (
        "No trades: the strategy sent no order.",
        "No position was held.", "No position was opened.", "No order was sent.",
        "No liquidation: no margin account fell below its maintenance margin.",
        "No ambiguous candle:", "No symbol was traded.",
        "No funding was settled on a position, and trading cost nothing.", "Nothing changed the equity.",
    ):  # fmt: skip
        assert sentence in page.text
    assert set(page.figures) == {"equity"}
    quiet = Life(extra={"notes": [], "counts": {}})
    assert "Nothing: every candle, mark and settlement was in the data." in Page(render(account(quiet))).text


HOSTILE = "</script><script>alert(1)</script><img src='http://evil.example/x'>&\"'{{ 7 * 7 }}"


def test_hostile_names_are_only_words(cross: Result) -> None:
    base = account(Life(symbols=(HOSTILE, "ETH-USD"), lost=(HOSTILE,), label=HOSTILE, rejected=1))
    summary = base.summary | {
        "strategy": {
            "name": HOSTILE,
            "params": {HOSTILE: HOSTILE},
            "source": HOSTILE,
            "doc": f"{HOSTILE}\n\n{HOSTILE}",
        },
        "notes": [HOSTILE],
        "counts": {HOSTILE: 1},
        "data": base.summary["data"] | {"provenance": HOSTILE, "name": HOSTILE},
    }
    hostile = Result(HOSTILE, summary, base.tables)
    for html in (render(hostile), render_comparison([hostile, cross])):
        page = Page(html)
        assert page.tags.count("script") == 4
        assert "img" not in page.tags
        assert page.fetched == []
        assert "49" not in [text.strip() for text in page.texts]
        assert " ".join(HOSTILE.split()) in page.text
        # Plotly understands some tags: it must be given words.
        assert "<" not in json.dumps([t["name"] for f in page.figures.values() for t in f["data"] if "name" in t])
    assert plain("<b>&") == "&lt;b&gt;&amp;"


def test_settings_parameters_and_a_long_story() -> None:
    story = {
        "name": "carry",
        "params": {"threshold": 0.0001},
        "source": "x",
        "doc": "One line.\n\nWhen it dies: always.",
    }
    page = Page(render(account(Life(extra={"strategy": story}))))
    assert "Parameter threshold 0.0001" in page.text
    assert "More about this strategy When it dies: always." in page.text


def test_a_year_of_minutes_is_quick() -> None:
    result = account(Life(rows=525_600, interval_ms=60_000))
    took = []
    for _ in range(3):
        start = time.process_time()
        render(result)
        took.append(time.process_time() - start)
    assert min(took) < 0.6  # of a processor, whatever else the machine does
