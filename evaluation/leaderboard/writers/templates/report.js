"use strict";
// Sort: a button in each heading; numbers by their full value, rows without one last, ties stay as they were.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows].at(-1).cells;
  [...headings].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const numeric = heading.classList.contains("num");
      const first = heading.dataset.first ?? (numeric ? "descending" : "ascending");  // the best first
      const other = first === "ascending" ? "descending" : "ascending";
      const order = heading.ariaSort === first ? other : first;
      for (const each of headings) each.removeAttribute("aria-sort");
      heading.ariaSort = order;
      const sign = order === "ascending" ? 1 : -1;
      const value = (row) => {
        const cell = row.cells[column];
        if (!numeric) return cell.textContent;
        return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
      };
      const rows = [...body.rows].map((row) => [value(row), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        return sign * (numeric ? a - b : a.localeCompare(b));
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}
// Filter: rows that contain every word, and (if asked) of methods that saw no content labels.
for (const form of document.querySelectorAll("form.filters")) {
  const rows = [...document.getElementById(form.dataset.table).tBodies[0].rows];
  const count = form.querySelector("output");
  const update = () => {
    const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const blind = form.elements.blind.checked;
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const saw = row.dataset.block === "content";
      const keep = words.every((word) => text.includes(word));
      row.hidden = !keep || (blind && saw);
      shown += !row.hidden;
    }
    count.value = `${shown} of ${rows.length} rows`;
  };
  form.hidden = false;
  form.addEventListener("input", update);
  form.addEventListener("change", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  update();
}
// A link to a method opens its card.
const open = () => {
  const card = document.getElementById(location.hash.slice(1));
  if (card && card.tagName === "DETAILS") card.open = true;
};
addEventListener("hashchange", open);
open();
