"use strict";

// Tables: a heading sorts its column, once more turns it; what is missing comes last.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => {
    const turn = heading.ariaSort === "ascending" ? -1 : 1;
    headings.forEach(other => other.setAttribute("aria-sort", "none"));
    heading.setAttribute("aria-sort", turn === 1 ? "ascending" : "descending");
    const key = row => row.cells[column].dataset.sort;
    const rows = [...table.tBodies[0].rows];
    const numeric = rows.every(row => key(row) === "" || !Number.isNaN(Number(key(row))));
    const compare = (a, b) => numeric ? Number(a) - Number(b) : a.localeCompare(b, "en", {numeric: true});
    rows.sort((a, b) => (key(a) === "") - (key(b) === "") || turn * compare(key(a), key(b)));
    table.tBodies[0].append(...rows);
  }));
}

// A run's fold: its own entries of the config stand in the page; those that all runs share are added when it opens.
for (const fold of document.querySelectorAll("details[data-shared]")) {
  fold.addEventListener("toggle", () => {
    const text = fold.querySelector("pre");
    const shared = JSON.parse(document.getElementById(fold.dataset.shared).textContent);
    const lines = Object.entries(shared).map(([key, value]) => `${key}: ${value}`);
    text.textContent = [...text.textContent.trim().split("\n"), ...lines].filter(Boolean).sort().join("\n") + "\n";
  }, {once: true});
}

// Curves: drawn by BokehJS; the buttons above hide and show them; colours follow the page.
const plots = [...document.querySelectorAll("script.plot-data")].map(data => JSON.parse(data.textContent));
if (plots.length) {
  Promise.all(plots.map(item => Bokeh.embed.embed_item(item))).then(() => {
    document.documentElement.dataset.plots = "drawn";
    for (const button of document.querySelectorAll("button[data-curve]")) {
      button.addEventListener("click", () => {
        const shown = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(shown));
        for (const document_ of Bokeh.documents) {
          for (const model of document_._all_models.values()) {
            if (model.name === button.dataset.curve) model.visible = shown;
          }
        }
      });
    }
  });
}
