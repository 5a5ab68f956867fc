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

  function amount(count, unit) {
    return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short" }).format(count);
  }

  // The two largest units, as the server writes the lengths of what is over.
  function span(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const hours = Math.floor(whole / 3600);
    const minutes = Math.floor(whole / 60) % 60;
    if (hours) return `${amount(hours, "hour")} ${amount(minutes, "minute")}`;
    if (minutes) return `${amount(minutes, "minute")} ${amount(whole % 60, "second")}`;
    return amount(whole, "second");
  }

  function moment(at) {
    const isToday = at.toDateString() === new Date().toDateString();
    const day = isToday ? {} : { day: "numeric", month: "short" };
    return at.toLocaleString(language, { ...day, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  }

  function words(time, at, seconds) {
    if ("elapsed" in time.dataset) return time.dataset.elapsed.replace("{time}", span(seconds));
    if ("since" in time.dataset) return time.dataset.since.replace("{time}", moment(at));
    return ago(seconds);
  }

  function show(root) {
    const now = Date.now();
    for (const time of root.querySelectorAll("time[data-age], time[data-elapsed], time[data-since]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const seconds = (now - at.getTime()) / 1000;
      const said = words(time, at, seconds);
      if (time.textContent !== said) time.textContent = said;
      if (!time.dataset.shown) {
        time.title = absolute.format(at);
        time.dataset.shown = "yes";
      }
    }
  }

  // Times a person writes are read in the zone they live in, unless the stage names one.
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const field of document.querySelectorAll("input[data-own-zone]")) if (own) field.value = own;

  show(document);
  setInterval(() => show(document), 1000);
  document.addEventListener("htmx:load", (event) => show(event.target.parentNode || document));
})();
