(() => {
  "use strict";
  const boxes = [...document.querySelectorAll("[data-figure]")];
  const touch = matchMedia("(pointer: coarse)").matches;
  let figures = {};
  let market = null; // the chart of candles

  // The library and the data lie in the page compressed.
  async function inflate(id) {
    const packed = atob(document.getElementById(id).textContent);
    const bytes = new Uint8Array(packed.length);
    for (let i = 0; i < packed.length; i += 1) bytes[i] = packed.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).text();
  }

  // Colours stand in the figures as CSS variables: what they are depends on the reader's light or dark theme.
  function painted(value, style) {
    if (typeof value === "string") {
      const name = /^var\((--[\w-]+)\)$/.exec(value);
      return name ? style.getPropertyValue(name[1]).trim() : value;
    }
    if (ArrayBuffer.isView(value)) return value;
    if (Array.isArray(value)) return typeof value[0] === "number" ? value : value.map((v) => painted(v, style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, painted(v, style)]));
  }

  // Bars have their numbers outside, at their ends: leave room for the longest one of each side.
  function roomy(box, low, high, left, right) {
    const labels = [8 * left + 10, 8 * right + 10];
    const bars = Math.max(box.clientWidth - 125 - labels[0] - labels[1], 60);
    const scale = (high - low || 1) / bars;
    return [low - labels[0] * scale, high + labels[1] * scale];
  }

  function draw(box) {
    const style = getComputedStyle(document.documentElement);
    const figure = painted(figures[box.dataset.figure], style);
    const layout = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: true,
      margin: { l: 8, r: 16, t: 8, b: 8 },
      font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: style.getPropertyValue("--ink").trim() },
      legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom" },
      hoverlabel: { bgcolor: style.getPropertyValue("--paper").trim(), bordercolor: style.getPropertyValue("--rule").trim() },
      dragmode: touch ? false : "zoom",
      ...figure.layout,
    };
    layout.xaxis = { automargin: true, ...layout.xaxis };
    if (layout.xaxis.type === "date") {
      layout.xaxis.tickangle = 0;
      layout.xaxis.nticks = Math.max(4, Math.floor(box.clientWidth / 100));
      // A narrow screen has no room for the year under each midnight; the page's head has it.
      if (box.clientWidth < 520) layout.xaxis.tickformatstops = [{ dtickrange: [null, 86399999], value: "%H:%M\n%b %-d" }];
      // The same left edge for all charts over time, so that an instant stands at one place on the page.
      layout.margin.l = 52;
      if (box.zoomed) layout.xaxis.range = dates(box.zoomed);
    }
    if (figure.layout.meta?.reach) layout.xaxis.range = roomy(box, ...figure.layout.meta.reach);
    const config = {
      displaylogo: false, responsive: true, showTips: false,
      displayModeBar: touch ? false : "hover",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "sendChartToCloud"],
    };
    return Plotly.react(box, figure.data, layout, config);
  }

  const linked = () => boxes.filter((box) => figures[box.dataset.figure].layout.meta?.linked && box.layout);
  const range = (box) => box.layout.xaxis.range.map((end) => (typeof end === "number" ? end : Date.parse(`${end}`.replace(" ", "T") + "Z")));

  const dates = (ends) => ends.map((ms) => new Date(Number(ms)).toISOString().replace("T", " ").slice(0, -1));

  // All charts over time show the same stretch: zooming one zooms the others.
  let busy = false;
  async function show(from, to, except) {
    busy = true;
    const others = linked().filter((box) => box !== except);
    for (const box of others) box.zoomed = [from, to];
    await Promise.all(others.map((box) => Plotly.relayout(box, { "xaxis.range": dates([from, to]) })));
    if (except) except.zoomed = [from, to];
    await market?.update();
    busy = false;
  }
  function link(box) {
    box.on("plotly_relayout", (change) => {
      if (busy || !Object.keys(change).some((key) => key.startsWith("xaxis."))) return;
      // A double click shows the whole run again.
      const whole = figures[box.dataset.figure].layout.xaxis.range;
      if (change["xaxis.autorange"] && whole) show(...whole, null);
      else show(...range(box), box);
    });
  }

  // Charts over time obey the keyboard: + and - zoom, the arrows move, 0 shows all.
  function keys(box) {
    box.addEventListener("keydown", (event) => {
      const [from, to] = range(box);
      const [middle, half] = [(from + to) / 2, (to - from) / 2];
      const whole = figures[box.dataset.figure].layout.xaxis.range;
      const next = {
        "+": [middle - half / 2, middle + half / 2], "-": [middle - half * 2, middle + half * 2],
        ArrowLeft: [from - half, to - half], ArrowRight: [from + half, to + half], 0: whole,
      }[event.key];
      if (!next) return;
      event.preventDefault();
      show(next[0], next[1], null);
    });
  }

  // What a chart shows, as a table: for readers who cannot see it.
  const ROWS = 500;
  function spoken(details) {
    const figure = figures[details.dataset.of];
    const date = figure.layout.xaxis?.type === "date";
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const name of ["Series", date ? "Time (UTC)" : "x", "Value"]) {
      head.append(Object.assign(document.createElement("th"), { textContent: name, scope: "col" }));
    }
    const body = table.createTBody();
    let left = ROWS;
    for (const trace of figure.data) {
      const [x, y] = [trace.x ?? [], trace.y ?? trace.close ?? []];
      for (let i = 0; i < y.length && left > 0; i += 1, left -= 1) {
        const when = date ? new Date(Number(x[i])).toISOString().slice(0, 16).replace("T", " ") : `${x[i]}`;
        const value = trace.text?.[i] && typeof y[i] !== "number" ? trace.text[i] : `${y[i] ?? ""}`;
        const row = body.insertRow();
        for (const text of [trace.name ?? "", when, value]) row.insertCell().textContent = text;
      }
    }
    const cut = left ? "" : `First ${ROWS} points; the Parquet files have all.`;
    details.append(table, Object.assign(document.createElement("p"), { className: "note", textContent: cut }));
  }

  // Typed arrays: {dtype, bdata} in the data, a view of numbers on the page.
  const KINDS = { f8: Float64Array, f4: Float32Array, i4: Int32Array };
  function revived(_, value) {
    if (!value?.bdata) return value;
    const text = atob(value.bdata);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
    return new KINDS[value.dtype](bytes.buffer);
  }

  async function start() {
    if (typeof DecompressionStream === "undefined") {
      document.getElementById("too-old").hidden = false;
      return;
    }
    const [data, code, rows] = await Promise.all([inflate("figures"), boxes.length ? inflate("library") : "", inflate("rows")]);
    figures = JSON.parse(data, revived);
    // The policy of the page allows this one text, by its hash.
    if (code) document.head.append(Object.assign(document.createElement("script"), { textContent: code }));
    market = window.backtestMarket(figures, show, draw);
    for (const [n, box] of boxes.entries()) {
      await draw(box);
      if (figures[box.dataset.figure].layout.meta?.linked) {
        box.tabIndex = 0;
        link(box);
        keys(box);
      }
      if (n === 0) performance.mark("first chart");
      await new Promise((ready) => setTimeout(ready));
    }
    window.backtestTables(JSON.parse(rows));
    for (const details of document.querySelectorAll("details[data-of]")) {
      details.addEventListener("toggle", () => spoken(details), { once: true });
    }
    performance.mark("all charts");
    document.documentElement.dataset.drawn = String(boxes.length);
    const again = () => boxes.forEach(draw);
    let wait = 0;
    addEventListener("resize", () => {
      clearTimeout(wait);
      wait = setTimeout(again, 120);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  }
  start();
})();
