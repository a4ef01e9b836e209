(() => {
  "use strict";
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const boxes = [...document.querySelectorAll("[data-figure]")];
  const touch = matchMedia("(pointer: coarse)").matches;

  // Colours stand in the figures as CSS variables: what they are depends on the reader's light or dark theme.
  function painted(value, style) {
    if (typeof value === "string") {
      const name = /^var\((--[\w-]+)\)$/.exec(value);
      return name ? style.getPropertyValue(name[1]).trim() : value;
    }
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
    }
    if (figure.layout.meta?.reach) layout.xaxis.range = roomy(box, ...figure.layout.meta.reach);
    const config = {
      displaylogo: false, responsive: true, showTips: false,
      displayModeBar: touch ? false : "hover",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "sendChartToCloud"],
    };
    return Plotly.react(box, figure.data, layout, config);
  }

  // All charts over time show the same stretch: zooming one zooms the others.
  function link(linked) {
    let busy = false;
    for (const box of linked) {
      box.on("plotly_relayout", async (change) => {
        if (busy || !Object.keys(change).some((key) => key.startsWith("xaxis."))) return;
        busy = true;
        const range = box.layout.xaxis.range.slice();
        await Promise.all(linked.filter((b) => b !== box).map((b) => Plotly.relayout(b, { "xaxis.range": range })));
        busy = false;
      });
    }
  }

  Promise.all(boxes.map(draw)).then(() => {
    link(boxes.filter((box) => figures[box.dataset.figure].layout.meta?.linked));
    document.documentElement.dataset.drawn = String(boxes.length);
  });
  let wait = 0;
  addEventListener("resize", () => {
    clearTimeout(wait);
    wait = setTimeout(() => boxes.forEach(draw), 120);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => boxes.forEach(draw));
})();
