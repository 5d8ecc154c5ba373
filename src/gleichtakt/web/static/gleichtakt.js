// What pages cannot do by themselves: keep opened parts open over a live update, hold an update back while someone
// decides, and say whether the page is live. Everything else works without script.
(() => {
  "use strict";
  const lamp = (state) => {
    for (const pulse of document.querySelectorAll("[data-pulse]")) pulse.dataset.pulse = state;
  };
  document.addEventListener("htmx:sseOpen", () => lamp("on"));
  document.addEventListener("htmx:sseError", () => lamp("off"));
  document.addEventListener("htmx:sseClose", () => lamp("wait"));

  const live = (element) => element instanceof Element && element.id === "live";
  const busy = (element) => {
    const at = document.activeElement;
    const writing = at && element.contains(at) && at.matches("input, select, textarea");
    return writing || element.querySelector("details.confirm[open]");
  };
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (live(event.detail.elt) && (busy(event.detail.elt) || document.hidden)) event.preventDefault();
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (live(event.detail.requestConfig.elt)) {
      if (event.detail.xhr.status !== 200 || busy(event.detail.requestConfig.elt)) event.detail.shouldSwap = false;
    }
  });
  document.addEventListener("visibilitychange", () => {
    const region = document.getElementById("live");
    if (!document.hidden && region && window.htmx) window.htmx.trigger(region, "sse:pulse");
  });

  // The menu of narrow screens is always open on wide ones.
  const menu = document.querySelector("[data-menu]");
  const wide = window.matchMedia("(min-width: 60rem)");
  const fit = () => { if (menu) menu.open = wide.matches; };
  wide.addEventListener("change", fit);
  fit();

  // One decision at a time, and Escape closes it.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const open of document.querySelectorAll("details.confirm[open]")) {
      open.open = false;
      open.querySelector("summary").focus();
    }
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
  });
  document.documentElement.classList.add("script");
})();
