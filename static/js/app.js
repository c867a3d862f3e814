/* Small comforts; every page works without this file. Nothing here talks to another host. */
"use strict";

(() => {
  const root = document.documentElement;

  // Theme: the server reads the cookie, so a page never flashes in the wrong one.
  const applyTheme = (theme) => {
    if (theme === "system") {
      delete root.dataset.theme;
    } else {
      root.dataset.theme = theme;
    }
    for (const button of document.querySelectorAll("[data-theme-value]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeValue === theme));
    }
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-value]");
    if (button) {
      const theme = button.dataset.themeValue;
      const age = theme === "system" ? 0 : 31536000;
      document.cookie = `snapcopy_theme=${theme}; path=/; max-age=${age}; samesite=lax`;
      applyTheme(theme);
      event.preventDefault();
    }
  });

  // Floating menus close when one clicks elsewhere or presses Escape.
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) {
        menu.open = false;
      }
    }
  });

  // A form that acts is sent once, however often it is clicked.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method === "post" && !form.hasAttribute("data-repeatable")) {
      setTimeout(() => {
        for (const button of form.querySelectorAll("button[type=submit]")) {
          button.disabled = true;
        }
      });
    }
  });
  window.addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("form button[type=submit]:disabled:not([data-keep-disabled])")) {
      button.disabled = false;
    }
  });

  // Filters apply as soon as they are changed; without scripts there is a button.
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-auto-submit]");
    if (form) {
      form.requestSubmit();
    }
  });

  // Select all of a group of checkboxes, and count what is chosen.
  const recount = (form) => {
    const boxes = [...form.querySelectorAll("input[data-choice]")];
    const chosen = boxes.filter((box) => box.checked).length;
    const all = form.querySelector("input[data-choose-all]");
    if (all) {
      all.checked = chosen === boxes.length && chosen > 0;
      all.indeterminate = chosen > 0 && chosen < boxes.length;
    }
    for (const label of form.querySelectorAll("[data-chosen]")) {
      label.textContent = chosen === 0 ? "" : `${chosen} chosen`;
    }
  };
  document.addEventListener("change", (event) => {
    const form = event.target.form;
    if (form && event.target.matches("[data-choose-all]")) {
      for (const box of form.querySelectorAll("input[data-choice]")) {
        box.checked = event.target.checked;
      }
    }
    if (form && event.target.matches("[data-choose-all], [data-choice]")) {
      recount(form);
    }
  });

  // A poll must not take a button away under the pointer, nor a selection, nor close what was opened.
  let pressed = false;
  for (const name of ["pointerdown", "keydown"]) {
    document.addEventListener(name, () => (pressed = true), true);
  }
  for (const name of ["pointerup", "pointercancel", "keyup", "blur"]) {
    window.addEventListener(name, () => setTimeout(() => (pressed = false)), true);
  }
  const busyIn = (target) => {
    const selection = document.getSelection();
    const selecting = selection && !selection.isCollapsed && target.contains(selection.anchorNode);
    return pressed || selecting || target.querySelector("details.menu[open]") !== null;
  };
  let opened = [];
  let chosen = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    const target = event.detail.target;
    const polled = event.detail.requestConfig.triggeringEvent === undefined;
    if (polled && event.detail.xhr.status === 200 && busyIn(target)) {
      event.detail.shouldSwap = false;
      return;
    }
    opened = [...target.querySelectorAll("details[id][open]")].map((details) => details.id);
    chosen = [...target.querySelectorAll("input[id][data-choice]:checked")].map((box) => box.id);
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const id of opened) {
      const details = document.getElementById(id);
      if (details) {
        details.open = true;
      }
    }
    opened = [];
    const forms = new Set();
    for (const id of chosen) {
      const box = document.getElementById(id);
      if (box) {
        box.checked = true;
        forms.add(box.form);
      }
    }
    chosen = [];
    forms.forEach(recount);
    showScripted();
  });

  // Copy a command to the clipboard.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy-from]");
    if (button) {
      const source = document.getElementById(button.dataset.copyFrom);
      await navigator.clipboard.writeText(source.textContent.trim());
      const label = button.querySelector("[data-label]");
      const before = label.textContent;
      label.textContent = "Copied";
      setTimeout(() => (label.textContent = before), 1500);
    }
  });
  const showScripted = () => {
    for (const button of document.querySelectorAll("[data-needs-script]")) {
      button.hidden = false;
    }
  };
  showScripted();

  // Shortcuts: "g" then a letter goes to a page, "/" to the filter, "?" shows the list. Switched off in that list.
  const help = document.getElementById("shortcuts");
  const enabled = () => localStorage.getItem("snapcopy-shortcuts") !== "off";
  const toggle = document.getElementById("shortcuts-enabled");
  if (toggle) {
    toggle.checked = enabled();
    toggle.addEventListener("change", () => localStorage.setItem("snapcopy-shortcuts", toggle.checked ? "on" : "off"));
  }
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-open-shortcuts]")) {
      help.showModal();
    }
  });
  let awaitingPage = 0;
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      for (const menu of document.querySelectorAll("details.menu[open]")) {
        menu.open = false;
        menu.querySelector("summary").focus();
      }
      if (location.hash === "#navigation") {
        location.hash = "#main";
      }
      return;
    }
    const typing = event.target.closest("input, select, textarea, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !enabled()) {
      return;
    }
    if (awaitingPage && Date.now() - awaitingPage < 1500) {
      awaitingPage = 0;
      const link = document.querySelector(`.nav-link[data-key="${CSS.escape(event.key)}"]`);
      if (link) {
        link.click();
        event.preventDefault();
      }
    } else if (event.key === "g") {
      awaitingPage = Date.now();
    } else if (event.key === "/") {
      const field = document.querySelector("[data-shortcut-search]");
      if (field) {
        field.focus();
        event.preventDefault();
      }
    } else if (event.key === "?" && help) {
      help.showModal();
      event.preventDefault();
    }
  });
})();
