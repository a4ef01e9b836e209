"""The picture of a comparison report in the README: `python -m tests.docs.screenshot` makes it from the demo.

Needs Chromium: the environment variable BACKTEST_CHROMIUM, or `chromium` on the path.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import backtest

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "comparison-report.png"
WIDTH, HEIGHT, COLOURS = 1200, 1168, 64
"""Down to the lower edge of the first chart; few colours keep the file small."""


def main() -> None:
    browser = os.environ.get("BACKTEST_CHROMIUM") or shutil.which("chromium")
    if browser is None:
        sys.exit("error: no Chromium: install it, or name it in BACKTEST_CHROMIUM")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        backtest.demo(Path(place) / "demo")
        opened = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = opened.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto((Path(place) / "demo" / "report.html").as_uri())
        page.wait_for_selector("[data-figure] .main-svg")
        page.screenshot(path=PICTURE)
        opened.close()
    with Image.open(PICTURE) as taken:
        taken.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    sys.stderr.write(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
