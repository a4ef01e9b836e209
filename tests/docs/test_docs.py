"""The documents: what they link to exists, what they show works, and what they list is what the code has."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from backtest.core.enums import Cause, Code, OrderState, OrderType, Reason, Stage, Status, TimeInForce
from backtest.data.catalog import Catalog
from backtest.data.manifest import Change, Head, MarketFacts, Step, read_manifest
from backtest.data.sample import write_sample
from backtest.data.select import select
from backtest.report.formatting import METRICS
from backtest.results.tables import SCHEMAS
from backtest.runner.notes import STRETCHED
from backtest.strategy import events
from backtest.strategy.account import Account
from backtest.strategy.base import HOOKS
from backtest.strategy.holdings import Holdings, OpenOrder
from backtest.strategy.market import Market
from backtest.strategy.order import Order
from backtest.strategy.position import Position
from backtest.venues.profile import Defaults, load
from tests.docs.pages import PAGES, ROOT, Block, blocks, play, text_of
from tests.unit.test_tidy import ROOMS, machine
from tests.unit.test_tidy import Source as Tidy

DATA, ORDERS, RESULTS, STRATEGIES, VENUES = (
    f"docs/reference/{name}.md" for name in ("data", "orders", "results", "strategies", "venues")
)
IMAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs" / "images").glob("*.svg"))
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
PLAYED = [
    page for page in PAGES if page != "README.md" and any(b.commands or b.language == "python" for b in blocks(page))
]


def prose(page: str) -> str:
    """The page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


def section(page: str, title: str) -> str:
    """What stands below a heading, up to the next heading."""
    parts = re.split(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return parts[parts.index(title) + 1]


def names(text: str) -> list[str]:
    """Words in code marks in the first column of the tables in ``text``."""
    cells = re.findall(r"^\| ([^|]*)\|", text, flags=re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`(\w+)", cell)]


def anchors(page: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def links() -> Iterator[tuple[str, str]]:
    return ((page, target) for page in PAGES for target in LINK.findall(prose(page)))


def test_links_lead_somewhere() -> None:
    lost = []
    for page, target in links():
        if not target.startswith("https://"):
            file, _, anchor = target.partition("#")
            place = (ROOT / page).parent / file if file else ROOT / page
            known = place.exists() and (not anchor or anchor in anchors(place.resolve().relative_to(ROOT).as_posix()))
            lost += [] if known else [f"{page}: {target}"]
    assert not lost


def test_every_document_is_found_from_the_readme() -> None:
    seen, new = set(), {"README.md"}
    while new:
        seen |= new
        targets = {
            ((ROOT / page).parent / target.partition("#")[0]).resolve()
            for page, target in links()
            if page in new and not target.startswith(("https://", "#"))
        }
        new = {t.relative_to(ROOT).as_posix() for t in targets} & set(PAGES) - seen
    assert {page for page in PAGES if page.startswith("docs/") or "/" not in page} <= seen
    shown = {os.path.normpath(f"{Path(page).parent}/{target}") for page, target in links() if target.endswith(".svg")}
    assert shown == set(IMAGES)


@pytest.mark.parametrize("page", [*PAGES, *IMAGES])
def test_no_paths_of_a_machine(page: str) -> None:
    assert machine(Tidy(page, text_of(page))) == []


@pytest.mark.parametrize("image", IMAGES)
def test_images_stand_alone(image: str) -> None:
    root = ET.fromstring(text_of(image))
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    assert width <= 760
    assert root.attrib["viewBox"] == f"0 0 {width:g} {height:g}"
    kinds = {element.tag.partition("}")[2] for element in root.iter()}
    shapes = {"svg", "title", "rect", "line", "polyline", "circle", "text", "tspan", "g", "path", "defs", "clipPath"}
    assert kinds <= shapes  # no script, font or other file
    assert "title" in kinds
    background = next(element for element in root.iter() if element.tag.endswith("rect"))
    assert (background.attrib["fill"], background.attrib["width"]) == ("#ffffff", root.attrib["width"])


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("sample") / "sample", days=20, symbols=["BTC-USD", "ETH-USD"])


@pytest.mark.parametrize("page", PLAYED)
def test_commands_print_what_is_quoted(page: str, sample: Path, tmp_path: Path) -> None:
    wrong = [f"$ {q.command}\n{q.printed}" for q in play(page, tmp_path, sample) if not q.holds]
    assert not wrong, f"{page} says otherwise:\n" + "\n".join(wrong)


NEEDING = [page for page in PAGES if any(block.text.startswith("# needs: ") for block in blocks(page))]


@pytest.mark.parametrize("page", NEEDING)
def test_examples_of_other_libraries_are_run(page: str) -> None:
    """`test_commands_print_what_is_quoted` runs them; a library that is not installed shows as a skip here."""
    missing = sorted({name for block in blocks(page) for name in block.missing})
    if missing:
        pytest.skip(f"{page}: not installed: {', '.join(missing)}")
    assert page in PLAYED


def test_pages_with_commands_are_played() -> None:
    names = ("data", "guards", "margin-calculator", "results", "strategies", "venues")
    shown = {f"docs/reference/{name}.md" for name in names} | {"docs/explanation/margin-modes.md"}
    shown |= {page for page in PAGES if page.startswith(("docs/tutorial/", "docs/how-to/"))}
    assert shown | {"CONTRIBUTING.md"} <= set(PLAYED)


def _file(page: str, name: str, folder: Path) -> Path:
    (block,) = (block for block in blocks(page) if block.file == name)
    (folder / name).write_text(block.text, encoding="utf-8")
    return folder / name


def test_manifest_of_the_page(tmp_path: Path) -> None:
    manifest = read_manifest(_file(DATA, "dataset.toml", tmp_path))
    assert (manifest.interval_ms, manifest.funding_interval_ms) == (300_000, 28_800_000)
    assert (manifest.steps, manifest.ticks) == ({"BTC-USD": 1_000}, {"BTC-USD": 0.1})
    assert manifest.mark_intervals_ms == {"BTC-USD": 3_600_000}
    assert manifest.facts("BTC-USD").listed == 1_695_427_200_000
    table = tomllib.loads((tmp_path / "dataset.toml").read_text(encoding="utf-8"))
    assert set(Head.model_fields) - set(table["dataset"]) == {"generator"}
    assert set(table["symbols"]["BTC-USD"]) == set(MarketFacts.model_fields)
    assert set(table["history"][0]) == set(Step.model_fields)
    assert set(table["history"][0]["changes"][0]) == set(Change.model_fields)


def test_venue_of_the_page(tmp_path: Path) -> None:
    venue = load(_file(VENUES, "myvenue.toml", tmp_path))
    assert [tier.initial for tier in venue.tiers("BTC-USD")] == [0.02, 0.04]
    assert [tier.initial for tier in venue.tiers("ETH-USD")] == [0.05, 0.10]
    said = dict(re.findall(r"^\| `defaults\.(\w+)` \|.*\| ([\d.]+) \|$", text_of(VENUES), re.MULTILINE))
    assert {name: float(value) for name, value in said.items()} == {
        name: float(value) for name, value in Defaults().model_dump().items()
    }


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_column_is_explained(table: str) -> None:
    text = section(RESULTS, table)
    columns = text.partition("| reason |")[0].partition("| stage |")[0]
    assert sorted(names(columns)) == sorted(SCHEMAS[table].names())


def test_every_word_in_a_table_is_explained() -> None:
    reasons = {
        name for table in ("orders", "transfers") for name in names(section(RESULTS, table).partition("| reason |")[2])
    }
    # A limit reads the same whether it is of the notional or of the size.
    assert reasons == {r.name.lower() for r in Reason} - {"none", "limit_size"}
    stages = names(section(RESULTS, "liquidations").partition("| stage |")[2])
    assert sorted(stages) == sorted(stage.name.lower() for stage in Stage)
    for table, columns in (("fills", {"cause"}), ("trades", {"exit_cause"})):
        rows = {row.split("`")[1]: row for row in section(RESULTS, table).splitlines() if row[:3] == "| `"}
        for column in columns:
            assert set(re.findall(r"`(\w+)`", rows[column])) - {column} == {c.name.lower() for c in Cause}
    for table, words in (("orders", Status), ("ledger", Code)):
        assert {f"`{word.name.lower()}`" for word in words} <= set(re.findall(r"`\w+`", section(RESULTS, table)))


def test_every_metric_has_its_formula() -> None:
    assert sorted(names(section(RESULTS, "Metrics"))) == sorted(METRICS)


def test_every_count_is_explained(sample: Path) -> None:
    counts = set(select(Catalog.open(sample)).counts)
    text = section(DATA, "What is checked and counted").partition("| count |")[2]
    assert set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)) == counts | {
        "missing settlements of open positions",
        "cancels without effect",
        "events not delivered before the end",
        "candles drilled down",
        STRETCHED,
        "deleveraging events without a profitable position",
        "guard …",
    }


def test_every_hook_is_explained() -> None:
    text = section(STRATEGIES, "Hooks")
    assert set(names(text)) == set(HOOKS) - {"features", "targets"}
    for hook, kind in (
        ("on_fill", events.Fill), ("on_order", events.OrderEvent), ("on_funding", events.FundingPayment),
        ("on_margin_call", events.MarginCall), ("on_liquidation", events.Liquidation), ("on_transfer", events.Transfer),
    ):  # fmt: skip
        row = next(line for line in text.splitlines() if line.startswith(f"| `{hook}("))
        assert f"`{' '.join(kind._fields)}`" in row


def test_all_that_market_and_account_offer_is_explained() -> None:
    text = section(STRATEGIES, "Market data") + section(STRATEGIES, "Account")
    said = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", text))))
    public = {
        name: value for kind in (Market, Holdings, Account) for name, value in vars(kind).items() if name[0] != "_"
    }
    offered = {name for name, value in public.items() if "engine's side" not in (value.__doc__ or "")}
    fields = {"open", "high", "low", "close", "volume", "mark", "funding_rate"}
    assert offered | fields <= said
    of_a_sequence = {"symbol", "count", "index"}
    assert {name for name in dir(Position) if name[0] != "_"} - of_a_sequence <= said
    assert f"`{' '.join(OpenOrder._fields)}`" in section(ORDERS, "Orders at the venue")


def test_every_word_of_an_order_is_explained() -> None:
    said = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", text_of(ORDERS)))))
    assert {field.name for field in fields(Order)} <= said
    assert {word.name.lower() for word in (*OrderType, *TimeInForce, *OrderState)} <= said
    reasons = names(section(ORDERS, "How an order ends"))
    of_transfers = {"gated", "collateral", "reserve"}
    assert sorted(reasons) == sorted({r.name.lower() for r in Reason} - {"none", "limit_size"} - of_transfers)


def test_rooms_are_those_of_the_code() -> None:
    """Each room with what it imports; `all above` is for the rooms that put the others together."""
    text = section("docs/explanation/architecture.md", "Architecture")
    rows = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].startswith("`"):
            rows |= dict.fromkeys(re.findall(r"`(\w+)(?:\.py|/)`", cells[0]), cells[2])
    assert list(rows) == list(ROOMS)
    for room, said in rows.items():
        if said != "all above":
            assert set(said.replace("–", "").replace(",", " ").split()) == _imports(room), room


def _imports(room: str) -> set[str]:
    folder = ROOT / "backtest" / room
    files = folder.rglob("*.py") if folder.is_dir() else [folder.with_suffix(".py")]
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("backtest"):
                parts = (node.module or "").split(".")
                found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return (found & set(ROOMS)) - {room}


def test_files_of_the_engine_are_those_of_the_code() -> None:
    said = set(re.findall(r"`(\w+)\.py`", section("docs/explanation/architecture.md", "Inside the engine")))
    assert said == {file.stem for file in (ROOT / "backtest" / "engine").glob("*.py")} - {"__init__"}


def test_a_block_is_read_as_it_is_written() -> None:
    block = Block("console", "$ backtest demo\nline\n\n$ make test\n")
    assert block.commands == [("backtest demo", "line\n\n"), ("make test", "")]
    assert Block("python", "# my_idea.py\nx = 1\n").file == "my_idea.py"
    assert Block("python", "x = 1\n# my.py\n").file == ""
