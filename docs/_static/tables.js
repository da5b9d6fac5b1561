/* A table that does not fit into the page gets smaller letters. If that is not enough,
   each row becomes a list of its cells, named by the heads of their columns. The style
   sheet, custom.css, says what both look like. */

const FORMS = ["narrow", "stacked"];

function fit(table) {
  table.classList.remove(...FORMS);
  for (const form of FORMS) {
    const room = table.parentElement.clientWidth;
    if (table.getBoundingClientRect().width <= room + 1) return;
    table.classList.add(form);
  }
}

document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll(".bd-article table")) {
    const headCells = [...table.querySelectorAll(":scope > thead th")];
    const heads = headCells.map((cell) => cell.textContent);
    for (const row of table.querySelectorAll(":scope > tbody > tr")) {
      [...row.cells].forEach((cell, column) => {
        if (heads[column]) cell.dataset.head = heads[column];
      });
    }
    new ResizeObserver(() => fit(table)).observe(table.parentElement);
  }
});
