/* The folder by keys, as in a file manager: arrows, Home, End, Enter, Space, Backspace. The page works without. */
"use strict";

(() => {
  const rows = [...document.querySelectorAll(".files tr[data-entry]")];
  const enabled = () => localStorage.getItem("snapcopy-shortcuts") !== "off";
  for (const row of rows) {
    row.tabIndex = -1;
  }
  // The chosen time is in sight in its list, whatever the page scrolls to.
  for (const list of document.querySelectorAll(".browser .points")) {
    const here = list.querySelector("[aria-current]");
    if (here) {
      list.scrollTop = here.offsetTop - list.offsetTop - list.clientHeight / 2;
    }
  }
  const show = (row) => {
    if (row) {
      row.focus();
    }
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]), select, textarea, dialog, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !enabled()) {
      return;
    }
    const row = event.target.closest("tr[data-entry]");
    const at = rows.indexOf(row);
    const isRow = event.target === row;
    const inside = row !== null || event.target === document.body || event.target.id === "main";
    if (event.key === "Backspace") {
      const up = document.querySelector("[data-up]");
      if (up) {
        up.click();
        event.preventDefault();
      }
    } else if (event.key === "ArrowDown" && inside && rows.length) {
      show(rows[Math.min(at + 1, rows.length - 1)]);
      event.preventDefault();
    } else if (event.key === "ArrowUp" && row) {
      show(rows[Math.max(at - 1, 0)]);
      event.preventDefault();
    } else if (event.key === "Home" && row) {
      show(rows[0]);
      event.preventDefault();
    } else if (event.key === "End" && row) {
      show(rows[rows.length - 1]);
      event.preventDefault();
    } else if (event.key === "Enter" && isRow) {
      const link = row.querySelector("th a");
      if (link) {
        link.click();
        event.preventDefault();
      }
    } else if (event.key === " " && isRow) {
      const box = row.querySelector("[data-choice]");
      if (box) {
        box.click();
      }
      event.preventDefault();
    }
  });
})();
