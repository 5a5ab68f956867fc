// Filters the rows of the matrix while one types; without this script the form asks the server.
(() => {
  "use strict";
  const field = document.querySelector("[data-filters]");
  if (!field) return;
  const rows = [...document.querySelectorAll(`${field.dataset.filters} [data-name]`)];
  const nothing = document.getElementById("no-match");
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = !row.dataset.name.toLowerCase().includes(wanted);
      if (!row.hidden) shown += 1;
    }
    if (nothing) nothing.hidden = shown > 0;
  });
})();
