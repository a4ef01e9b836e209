"""What CONTRIBUTING promises: a chart takes two files, a metric two, a flag one. Each is added, in a copy, and seen."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from backtest.report.packing import inflated
from tests import small_market as small

ROOT = Path(__file__).parents[2]
CHART = '''"""Fees of each fill."""

from backtest.report.charts import Chart
from backtest.report.section import Subject


def fee_chart(subject: Subject) -> Chart:
    """Fees of each fill, in order."""
    fees = subject.result.tables["fills"]["fee"].to_list()
    figure = {"data": [{"type": "bar", "y": fees}], "layout": {}}
    return Chart("fee_of_a_fill", subject.titled("Fee of each fill"), "", figure, 300)
'''
ADDED: dict[str, dict[str, list[tuple[str, str]]]] = {
    "chart": {
        "report/fee_chart.py": [("", CHART)],
        "report/where_from.py": [
            ("from backtest.report.section", "from backtest.report.fee_chart import fee_chart\n"),
            ("        chart(flows_chart(", "        chart(fee_chart(subject)),\n"),
        ],
    },
    "metric": {
        "results/metric_definitions.py": [
            (
                '        "fills": Annotated',
                '        "busiest": Annotated[int, Metric("Fills of the busiest market", "count")],\n',
            ),
        ],
        "results/metrics.py": [
            ('        "turnover": _', '        "busiest": int(np.bincount(record.fills["symbol"]).max(initial=0)),\n'),
        ],
    },
    "flag": {
        "runner/settings.py": [
            (
                "    limit_fill: str = setting(",
                '    calm_hours: int = setting(3, "Quiet hours.", COSTS, Kind.WHOLE, "HOURS", within=(0, 24))\n',
            ),
        ],
    },
}  # fmt: skip
"""Per kind of addition the files that it touches: before which text what is put."""
MOST = {"chart": 2, "metric": 2, "flag": 1}
USE = """
import json, sys
import backtest
from backtest.cli import main
by_keyword = backtest.run("hold.py", "market", calm_hours=7)
try:
    backtest.run("hold.py", "market", calm_hours=70)
except backtest.UserError as error:
    refused = str(error)
told = {"keyword": by_keyword.summary["config"]["calm_hours"], "refused": refused, "metrics": by_keyword.metrics}
open("told.json", "w").write(json.dumps(told))
open("run.toml", "w").write('strategy = "hold.py"\\ndata = "market"\\ncalm_hours = 5\\nout = "by-file"\\n')
for words in ("run --config run.toml", "run hold.py --data market --calm-hours 9 --out by-flag", "run --help"):
    try:
        main(words.split())
    except SystemExit as ended:
        assert not ended.code, words
"""


def put_in(package: Path, files: Mapping[str, list[tuple[str, str]]]) -> None:
    """Make the changes of one addition in a copy of the package."""
    for name, places in files.items():
        file = package / name
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        for before, added in places:
            assert not text or text.count(before) == 1, f"{name} has not one place for it: {before}"
            text = text.replace(before, added + before) if text else added
        file.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the reports and the output of a package in which all three were added."""
    folder = tmp_path_factory.mktemp("additions")
    skipped = shutil.ignore_patterns("__pycache__", "binance-2025")
    shutil.copytree(ROOT / "backtest", folder / "copy" / "backtest", ignore=skipped)
    for files in ADDED.values():
        put_in(folder / "copy" / "backtest", files)
    small.write(folder)
    around = {**small.environment(), "PYTHONPATH": str(folder / "copy"), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-c", USE], cwd=folder, env=around, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (folder / "said.txt").write_text(done.stdout)
    return folder


def test_each_touches_no_more_files_than_promised() -> None:
    assert {name: len(files) for name, files in ADDED.items()} == MOST


def test_a_new_chart_stands_in_its_section(used: Path) -> None:
    page = (used / "by-file" / "report.html").read_text(encoding="utf-8")
    assert (
        page.index("Where did the money come from?") < page.index("Fee of each fill") < page.index('id="table-symbols"')
    )
    assert '"fee_of_a_fill":{"data"' in inflated(page)


def test_a_new_metric_is_in_the_result_the_files_and_the_page(used: Path) -> None:
    told = json.loads((used / "told.json").read_text())
    summary = json.loads((used / "by-file" / "summary.json").read_text())
    assert told["metrics"]["busiest"] == summary["metrics"]["busiest"] >= 1
    assert "Fills of the busiest market" in (used / "by-file" / "report.html").read_text(encoding="utf-8")


def test_a_new_flag_is_a_keyword_a_key_and_a_line_of_help(used: Path) -> None:
    told = json.loads((used / "told.json").read_text())
    assert told["keyword"] == 7
    assert "calm_hours" in told["refused"]
    assert "from 0 to 24" in told["refused"]
    for name, value in (("by-file", 5), ("by-flag", 9)):
        assert json.loads((used / name / "summary.json").read_text())["config"]["calm_hours"] == value
        assert f"calm_hours = {value}" in (used / name / "run.toml").read_text()
        assert "Calm hours" in (used / name / "report.html").read_text(encoding="utf-8")
    said = (used / "said.txt").read_text()
    assert "--calm-hours HOURS" in said
    assert "Quiet hours." in said
    assert "[default: 3]" in said
