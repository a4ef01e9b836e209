// The candles of one market at a time, with the account's fills: finer ones where the reader has zoomed in.
window.backtestMarket = (figures, show, redraw) => {
  "use strict";
  const figure = figures.market;
  const box = document.getElementById("chart-market");
  if (!figure || !box) return null;
  const choice = document.getElementById("market-choice");
  const LOOK = ["long", "short", "exit", "stop", "liquidation"];
  const MARK = {
    long: ["Bought (entry)", "triangle-up", "var(--gain)"], short: ["Sold (entry)", "triangle-down", "var(--loss)"],
    exit: ["Exit", "circle-open", "var(--ink)"], stop: ["Stop or target", "diamond-open", "var(--series-4)"],
    liquidation: ["Liquidation", "x", "var(--limit)"],
  };
  const MOST = 1500; // candles that still can be told apart
  let shown = "";

  const inside = (times, from, to) => {
    let [a, b] = [0, times.length];
    while (a < times.length && times[a] < from) a += 1;
    while (b > a && times[b - 1] > to) b -= 1;
    return [a, b];
  };
  const cut = (prices, a, b) => ({
    x: prices.t.slice(a, b), open: prices.open.slice(a, b), high: prices.high.slice(a, b),
    low: prices.low.slice(a, b), close: prices.close.slice(a, b),
  });
  const length = (ms) => ([["d", 864e5], ["h", 36e5], ["m", 6e4]].map(([u, n]) => [u, ms / n]).find(([, n]) => Number.isInteger(n)) ?? ["s", ms / 1e3]).reverse().join("");

  function candles(name, prices, opacity) {
    return {
      type: "candlestick", name, opacity, ...prices, yaxis: "y", hoverinfo: "x+y",
      increasing: { line: { color: "var(--gain)", width: 1 } }, decreasing: { line: { color: "var(--loss)", width: 1 } },
    };
  }

  function build(symbol, from, to) {
    const market = figure.markets[symbol];
    const data = [];
    let [a, b] = market.fine ? inside(market.fine.t, from, to) : [0, 0];
    const fine = b > a && (to - from) / market.fine_ms <= MOST;
    if (fine) {
      const [c, d] = inside(market.long.t, from - market.long_ms, to);
      const [x, low, high] = [market.long.t.slice(c, d), market.long.low.slice(c, d), market.long.high.slice(c, d)];
      const band = { type: "scatter", mode: "lines", x, line: { width: 0, shape: "hv" }, hoverinfo: "skip", showlegend: false };
      data.push({ ...band, y: low });
      data.push({ ...band, y: high, fill: "tonexty", fillcolor: "var(--wash)", name: `Range of ${length(market.long_ms)}`, showlegend: true });
      data.push(candles(`${length(market.fine_ms)} candles`, cut(market.fine, a, b), 1));
    } else {
      data.push(candles(`${length(market.long_ms)} candles`, market.long && cut(market.long, 0, market.long.t.length), 1));
    }
    const { t, y, kind, text } = market.fills;
    for (const [n, name] of LOOK.entries()) {
      const mine = Array.from(kind).flatMap((one, i) => (one === n ? [i] : []));
      if (!mine.length) continue;
      const [title, symbolOf, color] = MARK[name];
      data.push({
        type: "scatter", mode: "markers", name: title, x: mine.map((i) => t[i]), y: mine.map((i) => y[i]),
        text: mine.map((i) => text[i]), hovertemplate: "%{text}<extra></extra>",
        marker: { symbol: symbolOf, size: mine.length > 400 ? 6 : 9, color, line: { width: 1, color } },
      });
    }
    data.push({
      type: "bar", name: "Funding", x: market.funding.t, y: market.funding.y, yaxis: "y2",
      marker: { color: "var(--series-1)", line: { width: 1, color: "var(--series-1)" } },
      hovertemplate: "%{y:,.2f}<extra>Funding</extra>", showlegend: false,
    });
    return [data, `${symbol} ${fine ? `${a}-${b}` : "long"}`];
  }

  function update(force = false) {
    const [from, to] = (box.zoomed ?? figure.layout.xaxis.range).map(Number);
    const [data, state] = build(choice.value, from, to);
    if (state === shown && !force) return Promise.resolve();
    shown = state;
    figure.data = data;
    return redraw(box);
  }

  const whole = figure.layout.xaxis.range;
  [figure.data, shown] = build(choice.value, ...whole.map(Number));
  choice.addEventListener("change", () => update(true));
  document.getElementById("market-all").addEventListener("click", () => {
    figure.layout.shapes = [];
    show(whole[0], whole[1], null);
  });
  document.addEventListener("backtest:trade", async (event) => {
    const { symbol, from, to } = event.detail;
    if (!figure.markets[symbol]) return;
    choice.value = symbol;
    const room = Math.max((to - from) * 0.75, 12 * (figure.markets[symbol].fine_ms || figure.markets[symbol].long_ms));
    figure.layout.shapes = [{
      type: "rect", x0: from, x1: to, yref: "paper", y0: 0.24, y1: 1, layer: "below",
      fillcolor: "var(--wash)", line: { color: "var(--faint)", width: 1 },
    }];
    await show(from - room, to + room, null);
    await update(true);
    document.getElementById("market").scrollIntoView({ behavior: "instant", block: "start" });
    box.focus({ preventScroll: true });
    box.dataset.trade = `${symbol} ${from} ${to}`;
  });
  return { update };
};
