// Ages and counting durations, in the page's language. Without this script the absolute time stands there.
(() => {
  "use strict";
  const language = document.documentElement.lang || "en";
  const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
  const absolute = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "long" });
  const units = [
    ["year", 31536000],
    ["month", 2592000],
    ["day", 86400],
    ["hour", 3600],
    ["minute", 60],
  ];

  function ago(seconds) {
    // A clock that is a little behind the server's must not speak of the future.
    const past = Math.max(0, seconds);
    for (const [unit, length] of units) {
      if (past >= length) return relative.format(-Math.floor(past / length), unit);
    }
    return relative.format(0, "second");
  }

  function clock(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    const shown = parts[0] ? parts : parts.slice(1);
    return shown.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
  }

  function show(root) {
    const now = Date.now();
    for (const time of root.querySelectorAll("time[data-age], time[data-elapsed]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const seconds = (now - at.getTime()) / 1000;
      const words = "elapsed" in time.dataset ? clock(seconds) : ago(seconds);
      if (time.textContent !== words) time.textContent = words;
      if (!time.dataset.shown) {
        time.title = absolute.format(at);
        time.dataset.shown = "yes";
      }
    }
  }

  show(document);
  setInterval(() => show(document), 1000);
  document.addEventListener("htmx:load", (event) => show(event.target.parentNode || document));
})();
