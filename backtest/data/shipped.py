"""The dataset that comes with the package, and the name that stands for it."""

from __future__ import annotations

from pathlib import Path

SHIPPED = "binance-2025"
"""Real candles and funding of five markets of Binance, by the hour; its README.md says where they come from."""
FOLDER = Path(__file__).parent / SHIPPED


def is_shipped(path: str | Path, folder: Path = Path()) -> bool:
    """Tell whether ``path`` names the dataset of the package: that name, with nothing called so in ``folder``."""
    return str(path) == SHIPPED and not (folder / SHIPPED).exists()


def located(path: Path) -> Path:
    """Return where the dataset that ``path`` names lies on disk."""
    return FOLDER if is_shipped(path) else path
