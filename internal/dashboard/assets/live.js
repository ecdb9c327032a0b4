// Keeps a page up to date: when something happens that concerns it, it is read again, and its live parts are replaced. Without this script the page is as it was when it was asked for.
"use strict";
(() => {
  const least = 1000, most = 10000; // milliseconds between two readings

  // Times of the server are UTC; those of the reader are added.
  function localize(root) {
    for (const el of root.querySelectorAll("time[datetime]")) {
      const at = new Date(el.dateTime);
      if (isNaN(at)) continue;
      const local = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
      const utc = el.title || el.textContent;
      el.title = utc + "\n" + local + " here";
      if (el.closest(".facts")) el.textContent = utc + " (" + local + " here)";
    }
  }
  localize(document);

  const button = document.getElementById("live");
  const parts = () => [...document.querySelectorAll("[data-live]")];
  let paused = false, busy = false, again = false, last = 0, timer = 0, lost = false;

  function tell() {
    button.textContent = paused ? "paused" : lost ? "no connection" : "live";
    button.className = paused ? "off" : lost ? "lost" : "";
    button.title = paused ? "Keep the page up to date" : "Leave the page as it is";
  }

  // A part in which somebody types, points out text or stands with the keyboard is left alone.
  function used(part) {
    const selection = document.getSelection();
    return part.contains(document.activeElement) || (selection && !selection.isCollapsed && part.contains(selection.anchorNode));
  }

  // What was scrolled stays where it was.
  const scrollers = (part) => [part, ...part.querySelectorAll(".wide, .log, pre")];
  function replace(part, now) {
    const at = scrollers(part).map((e) => [e.scrollTop, e.scrollLeft]);
    part.replaceChildren(...now.childNodes);
    scrollers(part).forEach((e, i) => { if (at[i]) [e.scrollTop, e.scrollLeft] = at[i]; });
  }

  async function refresh() {
    clearTimeout(timer);
    if (paused || document.hidden) return;
    if (busy) { again = true; return; }
    busy = true;
    try {
      const here = new URL(location.href);
      here.searchParams.delete("done");
      const answer = await fetch(here, { headers: { Accept: "text/html" } });
      lost = !answer.ok || answer.redirected; // to the form that asks for a key
      if (!lost) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of parts()) {
          const now = fresh.getElementById(part.id);
          if (!now || used(part)) continue;
          localize(now);
          if (now.innerHTML !== part.innerHTML) replace(part, now);
        }
      }
    } catch { lost = true; }
    tell();
    busy = false;
    last = Date.now();
    if (again) { again = false; soon(); } else { timer = setTimeout(refresh, most); }
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(refresh, Math.max(50, last + least - Date.now()));
  }

  const events = document.body.dataset.events;
  if (events && parts().length > 0) {
    button.hidden = false;
    button.addEventListener("click", () => { paused = !paused; tell(); if (!paused) refresh(); });
    const names = ["enqueued", "claimed", "started", "progress", "log", "completed", "retry", "failed", "released", "lost", "cancelled", "expired", "requeued", "priority_changed", "deleted", "missed"];
    let source = null;
    // A browser allows a server few connections: a page that nobody sees has none.
    function listen() {
      if (source || document.hidden) return;
      source = new EventSource(events);
      for (const name of names) source.addEventListener(name, soon);
      source.onopen = () => { if (lost) { lost = false; soon(); } tell(); };
      source.onerror = () => {
        lost = true;
        tell();
        if (source && source.readyState === EventSource.CLOSED) { source = null; setTimeout(listen, most); }
      };
    }
    document.addEventListener("visibilitychange", () => {
      if (document.hidden && source) { source.close(); source = null; }
      if (!document.hidden) { listen(); soon(); }
    });
    listen();
    timer = setTimeout(refresh, most);
    tell();
  }

  // Keys: / to the filter, g and a letter to a page, j and k through the rows of a table.
  const pages = { o: "/", t: "/tasks", y: "/types", w: "/workers", s: "/schedules", f: "/failures", p: "/operations", m: "/maintenance" };
  // They can be turned off, for those who speak to their computer (WCAG 2.2, 2.1.4); the browser remembers it.
  const toggle = document.getElementById("keys");
  let keys = true, went = 0;
  try { keys = localStorage.getItem("keys") !== "off"; } catch { /* a browser that keeps nothing */ }
  function tellKeys() {
    toggle.textContent = keys ? "on" : "off";
    toggle.setAttribute("aria-pressed", String(keys));
  }
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    keys = !keys;
    try { localStorage.setItem("keys", keys ? "on" : "off"); } catch { /* off until the next page */ }
    tellKeys();
  });
  tellKeys();
  document.addEventListener("keydown", (e) => {
    if (!keys || e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input, textarea, select")) return;
    if (went && Date.now() - went < 1500 && pages[e.key]) { location.href = pages[e.key]; return; }
    went = e.key === "g" ? Date.now() : 0;
    if (e.key === "/") {
      const filter = document.getElementById("filter");
      if (filter) { e.preventDefault(); filter.focus(); filter.select(); } else { location.href = "/tasks"; }
    }
    if (e.key === "j" || e.key === "k") {
      const rows = [...document.querySelectorAll("tbody tr a:first-of-type")].filter((a) => a.closest("td").matches(":first-child"));
      const at = rows.indexOf(document.activeElement);
      const next = rows[at < 0 ? 0 : at + (e.key === "j" ? 1 : -1)];
      if (next) { e.preventDefault(); next.focus(); }
    }
  });
})();
