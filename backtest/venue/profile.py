"""A venue as data: dated margin tiers, liquidation penalty and taker fee, read from a TOML file.

```toml
name = "myvenue"
source = "where the numbers come from"
date = 2026-01-01              # when they held
quote = "USDC"

[defaults]                     # one tier for every symbol that has none of its own
initial = 0.05                 # fraction of notional; maximum leverage is 1 / initial
maintenance = 0.03
penalty = 0.01                 # fraction of notional, on liquidation
taker_fee_bps = 4.5

[[tiers]]                      # optional: a ladder for every symbol, in place of the two rates above
upto = 1_000_000               # notional in quote units; the last tier has none
initial = 0.05
maintenance = 0.03
[[tiers]]
initial = 0.10
maintenance = 0.06

[symbols."BTC-USD"]            # optional: a symbol's own ladder
tiers = [{ upto = 5_000_000, initial = 0.02, maintenance = 0.01 }, { initial = 0.04, maintenance = 0.02 }]
```

Decimals are read as decimals, so that a deduction is the number that the file implies (docs/rules.md, section 6).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from backtest.errors import UserError, nearest
from backtest.schema import MICRO
from backtest.venue.lines import line_of

PRESETS = Path(__file__).parent / "presets"


def _decimal(value: object) -> object:
    """TOML has integers and decimals; a rate of ``0`` or ``1`` is an integer there. ``true`` is neither."""
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


Number = Annotated[Decimal, BeforeValidator(_decimal)]
Rate = Annotated[Number, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Tier:
    """One step of a symbol's ladder: ``requirement = notional × rate − deduction`` up to ``upto_micro``."""

    upto_micro: int | None
    """Notional at the tier's upper edge, micro-units of the quote; None: no edge."""
    initial: float
    initial_deduction: int
    """Micro, such that the requirement is continuous at the lower edge."""
    maintenance: float
    maintenance_deduction: int


class _Part(BaseModel):
    """What every table of the file keeps: no unknown keys, no silent conversion, no change after reading."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class _Rates(_Part):
    initial: Rate
    maintenance: Annotated[Number, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        # Else an account could be opened that is liquidated at once.
        if self.maintenance > self.initial:
            raise ValueError(f"maintenance {self.maintenance} is above initial {self.initial}")
        return self


class Rung(_Rates):
    """A tier as the file gives it."""

    upto: Annotated[Number, Field(gt=0)] | None = None


class Defaults(_Rates):
    """What holds for every symbol that says nothing else."""

    initial: Rate = Decimal("0.05")
    maintenance: Annotated[Number, Field(ge=0, lt=1)] = Decimal("0.03")
    penalty: Rate = Decimal("0.01")
    taker_fee_bps: Annotated[Number, Field(ge=0, lt=10_000)] = Decimal(0)


def _ladder(rungs: list[Rung]) -> list[Rung]:
    """Edges rise, rates never fall, only the last tier is open: else the requirement would not be continuous and
    convex in the notional, which the engine's crossing search assumes."""
    if not rungs:
        raise ValueError("no tier; give at least one")
    for number, rung in enumerate(rungs[:-1], 1):
        if rung.upto is None:
            raise ValueError(f"tier {number} has no upto; only the last tier is open")
        if rung.upto * MICRO != int(rung.upto * MICRO):
            raise ValueError(f"tier {number}: upto {rung.upto} is finer than a millionth of the quote")
    if rungs[-1].upto is not None:
        raise ValueError(f"tier {len(rungs)} is the last and has an upto; leave it out, the last tier is open")
    for number, (low, high) in enumerate(pairwise(rungs), 2):
        if low.upto is not None and high.upto is not None and high.upto <= low.upto:
            raise ValueError(f"tier {number}: upto {high.upto} is not above the {low.upto} before it")
        if high.initial < low.initial or high.maintenance < low.maintenance:
            raise ValueError(f"tier {number}: its rates are below those of tier {number - 1}; rates must rise")
    return rungs


Ladder = Annotated[list[Rung], AfterValidator(_ladder)]


class Override(_Part):
    """What one symbol has of its own."""

    tiers: Ladder


class Profile(_Part):
    """A venue. Rates are fractions of notional, taken on the mark price."""

    name: Annotated[str, Field(min_length=1)]
    source: str
    """Where the numbers come from."""
    date: dt.date
    """When they held."""
    quote: Annotated[str, Field(min_length=1)]
    defaults: Defaults = Defaults()
    ladder: Annotated[Ladder | None, Field(alias="tiers")] = None
    symbols: dict[str, Override] = {}

    @property
    def penalty(self) -> float:
        """Liquidation penalty, fraction of notional."""
        return float(self.defaults.penalty)

    @property
    def taker_fee_bps(self) -> float:
        """Taker fee, hundredths of a percent of the fill's quote amount."""
        return float(self.defaults.taker_fee_bps)

    def tiers(self, symbol: str) -> list[Tier]:
        """The ladder of ``symbol``: its own, else the venue's, else one tier of the default rates."""
        own = self.symbols.get(symbol)
        default = [Rung(initial=self.defaults.initial, maintenance=self.defaults.maintenance)]
        return _tiers(own.tiers if own else self.ladder or default)

    def in_words(self, symbols: Sequence[str]) -> str:
        """The rules that hold for ``symbols`` on one line, as a report shows them."""
        ladders = {symbol: self.tiers(symbol) for symbol in symbols}
        firsts = sorted({(tiers[0].initial, tiers[0].maintenance) for tiers in ladders.values()})
        rates = " or ".join(f"initial {i * 100:g} %, maintenance {m * 100:g} %" for i, m in firsts)
        rising = " in the lowest tier" if any(len(tiers) > 1 for tiers in ladders.values()) else ""
        return f"{rates}{rising}; liquidation penalty {self.penalty * 100:g} %"

    def sha256(self) -> str:
        """Hash of all that the profile says."""
        return hashlib.sha256(self.model_dump_json(by_alias=True).encode()).hexdigest()

    def max_leverage(self, symbol: str) -> float:
        """Notional over equity at which an order is still admitted, in the lowest tier; infinite at no margin."""
        rate = self.tiers(symbol)[0].initial
        return 1 / rate if rate else float("inf")


def _tiers(rungs: list[Rung]) -> list[Tier]:
    """Rungs with their deductions: ``deduction_j = deduction_{j−1} + round(edge_j × (rate_j − rate_{j−1}))``."""
    out: list[Tier] = []
    edge, low = 0, rungs[0]
    initial = maintenance = 0
    for rung in rungs:
        initial += _micro(edge, rung.initial - low.initial)
        maintenance += _micro(edge, rung.maintenance - low.maintenance)
        upto = None if rung.upto is None else int(rung.upto * MICRO)
        out.append(Tier(upto, float(rung.initial), initial, float(rung.maintenance), maintenance))
        edge, low = upto or 0, rung
    return out


def _micro(edge_micro: int, rate: Decimal) -> int:
    """``edge × rate`` rounded once, ties to even; 60 digits, so that the product itself is exact."""
    with localcontext(prec=60):
        return int((Decimal(edge_micro) * rate).to_integral_value(ROUND_HALF_EVEN))


def names() -> list[str]:
    """Names of the venues that come with the package."""
    return sorted(file.stem for file in PRESETS.glob("*.toml"))


def available() -> list[Profile]:
    """The venues that come with the package, by name."""
    return [load(name) for name in names()]


def load(name_or_path: str | Path) -> Profile:
    """The profile of a venue that comes with the package, by name, or of a TOML file, by path.

    Raises `UserError` for an unknown name, a missing file, broken TOML, and a key or value that does not belong.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, str) and not text.endswith(".toml") and not {"/", "\\"} & set(text):
        if text not in names():
            raise UserError(f"unknown venue {text!r}", "venue", f"{nearest(text, names())} (or give a FILE.toml)")
        return _read(PRESETS / f"{text}.toml")
    path = Path(name_or_path)
    if not path.is_file():
        raise UserError("no such venue file", str(path), f"pass a TOML file, or a name: {', '.join(names())}")
    return _read(path)


def _read(path: Path) -> Profile:
    try:
        text = path.read_text(encoding="utf-8")
        # Decimals stay decimals: 0.05 as a double is not a twentieth, and the difference would reach a deduction.
        return Profile.model_validate(tomllib.loads(text, parse_float=Decimal))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"not readable as TOML: {error}", str(path), "correct the file") from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", str(path), "check its permissions") from error
    except ValidationError as error:
        raise _complaint(path, text, error) from error


def _complaint(path: Path, text: str, error: ValidationError) -> UserError:
    """The first thing wrong as one line: file, line, key, reason. A misspelt key goes before what it leaves missing."""
    first = min(error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden")
    where = first["loc"]
    line = line_of(text, where)
    key = ".".join(str(part + 1 if isinstance(part, int) else part) for part in where)
    return UserError(f"{key}: {_reason(first['type'], first['msg'], where)}", f"{path}:{line}", "correct the file")


def _reason(kind: str, message: str, where: tuple[Any, ...]) -> str:
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return f"unknown key; {nearest(str(where[-1]), _keys(where))}"
    if kind == "is_instance_of":
        return "is not a number"
    return message.removeprefix("Value error, ")


def _keys(where: tuple[Any, ...]) -> list[str]:
    """Keys that the table at ``where`` knows."""
    model: type[BaseModel] = Profile
    if where[0] == "defaults":
        model = Defaults
    elif "tiers" in where[:-1]:
        model = Rung
    elif where[0] == "symbols":
        model = Override
    return [info.alias or key for key, info in model.model_fields.items()]
