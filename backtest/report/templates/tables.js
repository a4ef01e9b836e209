// Tables that sort, filter, page and copy. The page works without it: all rows that it has stand in the HTML.
window.backtestTables = (known) => {
  "use strict";
  const PAGE = 25; // rows shown at once
  const FEW = 10; // up to so many rows there is nothing to filter
  const UNITS = { d: 864e5, h: 36e5, min: 6e4, s: 1e3, ms: 1 };

  const made = (tag, more, ...children) => {
    const element = Object.assign(document.createElement(tag), more);
    element.append(...children);
    return element;
  };

  // A cell as something to sort by: amounts, percentages, lengths of time; what is not known comes last.
  function key(text) {
    const plain = text.replaceAll(",", "");
    if (text === "" || text === "n/a") return null;
    if (/^[-+]?[\d.]+(%|x| pp)?$/.test(plain)) return parseFloat(plain);
    const parts = [...plain.matchAll(/(-?[\d.]+) (d|h|min|s|ms)\b/g)];
    if (parts.length && parts.map((part) => part[0]).join(" ") === plain) {
      return parts.reduce((sum, [, n, unit]) => sum + parseFloat(n) * UNITS[unit], 0);
    }
    return text.toLowerCase();
  }
  const order = (a, b) => (a === null ? 1 : b === null ? -1 : typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1);
  const quoted = (value) => (value === null || value === undefined ? "" : /[",\n]/.test(`${value}`) ? `"${`${value}`.replaceAll('"', '""')}"` : `${value}`);
  const piped = (text) => text.replaceAll("|", "\\|").replaceAll("\n", " ");

  async function copy(button, text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = made("textarea", { value: text });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    const said = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = said; }, 1500);
  }

  function enhance(table) {
    const scroll = table.parentElement;
    const data = known[table.dataset.rows];
    const head = [...table.tHead.rows[0].cells];
    const titles = head.map((cell) => cell.textContent);
    const body = table.tBodies[0];
    const marks = [...body.rows[0].cells].map((cell) => cell.className.replace("minus", "").trim());
    const rows = [...body.rows].map((row) => [...row.cells].map((cell) => cell.textContent));
    if (data) rows.push(...data.more);
    if (rows.length < 2) return;
    const better = [...body.rows].map((row) => [...row.cells].map((cell) => cell.classList.contains("better")));
    let [shown, sorted, down, first] = [rows.map((_, i) => i), -1, false, 0];

    const count = made("span", { className: "count" });
    count.setAttribute("aria-live", "polite");
    const turn = (text, by) => {
      const button = made("button", { type: "button", textContent: text });
      button.addEventListener("click", () => { first += by * PAGE; draw(); });
      return button;
    };
    const [back, on] = [turn("Previous", -1), turn("Next", 1)];

    function cells(i) {
      const row = made("tr", {});
      for (const [n, text] of rows[i].entries()) {
        const cell = made("td", { className: marks[n].replace("better", "") });
        if (better[i]?.[n]) cell.classList.add("better");
        if (text.startsWith("-") && /^-[\d,.]+/.test(text) && marks[n].includes("n")) cell.classList.add("minus");
        if (n === 0 && table.dataset.rows === "trades" && document.getElementById("chart-market")) {
          const go = made("button", { type: "button", className: "go", textContent: text, title: "Show on the candles" });
          go.addEventListener("click", () => visit(i));
          cell.append(go);
          row.addEventListener("click", (event) => { if (event.target !== go) visit(i); });
        } else cell.textContent = text;
        row.append(cell);
      }
      return row;
    }
    function visit(i) {
      const value = (name) => data.values[data.columns.indexOf(name)][i];
      const detail = { symbol: value("symbol"), from: Date.parse(value("ts_entry")), to: Date.parse(value("ts_exit")) };
      document.dispatchEvent(new CustomEvent("backtest:trade", { detail }));
    }
    function draw() {
      first = Math.max(0, Math.min(first, Math.floor((shown.length - 1) / PAGE) * PAGE));
      const page = shown.slice(first, first + PAGE);
      body.replaceChildren(...page.map(cells));
      count.textContent = shown.length ? `${(first + 1).toLocaleString("en")}–${(first + page.length).toLocaleString("en")} of ${shown.length.toLocaleString("en")}` : "No row matches";
      [back.disabled, on.disabled] = [first === 0, first + PAGE >= shown.length];
    }
    function arrange(text) {
      const words = text.toLowerCase();
      shown = rows.flatMap((row, i) => (row.some((cell) => cell.toLowerCase().includes(words)) ? [i] : []));
      if (sorted >= 0) {
        const keys = rows.map((row) => key(row[sorted]));
        shown.sort((a, b) => {
          const by = order(keys[a], keys[b]);
          return (down && keys[a] !== null && keys[b] !== null ? -by : by) || a - b;
        });
      }
      first = 0;
      draw();
    }
    const filter = made("input", { type: "search", placeholder: "Filter", autocomplete: "off" });
    filter.setAttribute("aria-label", `Filter ${scroll.getAttribute("aria-label")}`);
    filter.addEventListener("input", () => arrange(filter.value));

    for (const [n, cell] of head.entries()) {
      const button = made("button", { type: "button", className: "sort", textContent: titles[n] });
      button.addEventListener("click", () => {
        [down, sorted] = [sorted === n ? !down : false, n];
        for (const other of head) other.removeAttribute("aria-sort");
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        arrange(filter.value);
      });
      cell.replaceChildren(button);
    }
    const csv = () => {
      const names = data ? data.columns : titles;
      const lines = shown.map((i) => (data ? data.values.map((column) => column[i]) : rows[i]).map(quoted).join(","));
      return [names.map(quoted).join(","), ...lines].join("\n") + "\n";
    };
    const markdown = () => {
      const rule = marks.map((mark) => (mark.includes("n") ? "---:" : "---"));
      return [titles, rule, ...shown.map((i) => rows[i])].map((row) => `| ${row.map(piped).join(" | ")} |`).join("\n") + "\n";
    };
    const button = (text, make) => {
      const one = made("button", { type: "button", textContent: text });
      one.addEventListener("click", () => copy(one, make()));
      return one;
    };
    const tools = made("p", { className: "tools" });
    if (rows.length > FEW) tools.append(filter);
    tools.append(button("Copy CSV", csv), button("Copy Markdown", markdown));
    if (rows.length > PAGE) tools.append(count, back, on);
    scroll.before(tools);
    scroll.classList.remove("tall");
    // All rows can be reached now, where the page has them all.
    const note = scroll.nextElementSibling;
    const total = note?.classList.contains("cut") ? /of ([\d,]+);/.exec(note.textContent) : null;
    if (total && Number(total[1].replaceAll(",", "")) === rows.length) note.remove();
    else if (total) note.textContent = note.textContent.replace(/First [\d,]+/, `First ${rows.length.toLocaleString("en")}`);
    draw();
  }
  for (const table of document.querySelectorAll("table[data-rows]")) enhance(table);
};
