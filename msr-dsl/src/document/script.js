// One version at a time, and a search. Without this everything is on the page, one version after the other.
"use strict";
(() => {
  const versions = [...document.querySelectorAll("section.version")];
  const tabs = [...document.querySelectorAll("nav a")];
  const field = document.getElementById("find");
  const found = document.getElementById("found");

  function show(version) {
    for (const one of versions) one.classList.toggle("shown", one === version);
    for (const tab of tabs) {
      if (tab.hash === "#" + version.id) tab.setAttribute("aria-current", "true");
      else tab.removeAttribute("aria-current");
    }
    search();
  }

  // A link leads to a version, a register or a field: its version is shown, and the place is looked up again.
  function follow() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const version = target && target.closest("section.version");
    if (version) show(version);
    if (target) target.scrollIntoView();
    return Boolean(version);
  }

  function search() {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const section of document.querySelectorAll("section.version.shown section[data-find]")) {
      const lost = !words.every((word) => section.dataset.find.includes(word));
      section.classList.toggle("lost", lost);
      left += lost ? 0 : 1;
    }
    found.textContent = words.length ? left + (left === 1 ? " register" : " registers") : "";
  }

  document.documentElement.classList.add("js");
  document.getElementById("search").hidden = false;
  field.addEventListener("input", search);
  addEventListener("hashchange", follow);
  addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== field) {
      event.preventDefault();
      field.focus();
    }
  });
  if (!follow() && versions.length) show(versions[0]);
})();
