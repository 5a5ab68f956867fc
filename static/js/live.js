// The page's websocket: says what the page shows, puts arriving fragments in place, tells live from stale.
(() => {
  "use strict";
  const SILENCE = 25000;
  const RECONNECT_AFTER = 3000;
  const SIGNED_OUT = 4401;
  const TOO_OLD = 4410;
  const body = document.body;
  const mark = document.getElementById("live-mark");
  if (!body.hasAttribute("ws-connect") || !mark) return;

  const word = mark.querySelector("[data-live-word]");
  let since = Number(body.dataset.liveSince) || 0;
  let lastHeard = 0;

  function show(state) {
    if (mark.dataset.state === state) return;
    mark.dataset.state = state;
    if (state === "live") {
      word.textContent = mark.dataset.live;
      return;
    }
    const at = new Date(lastHeard || performance.timeOrigin);
    const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    const time = at.toLocaleTimeString(document.documentElement.lang, clock);
    word.textContent = mark.dataset.stale.replace("%s", time);
  }

  function heard() {
    lastHeard = Date.now();
    const number = document.getElementById("live-number");
    since = Math.max(since, Number(number && number.dataset.number) || 0);
    show("live");
  }

  // What a fragment that is replaced must not lose: focus, opened details, a log that is read at its end.
  const kept = new Map();

  function remember(event) {
    const target = event.detail.target;
    if (!target || !target.id) return;
    const open = new Map();
    const selector = "details[id]";
    const details = [...target.querySelectorAll(selector)];
    if (target.matches(selector)) details.push(target);
    for (const each of details) open.set(each.id, each.open);
    const scrolled = new Map();
    for (const each of target.querySelectorAll("[data-follow]")) {
      const isAtEnd = each.scrollHeight - each.scrollTop - each.clientHeight < 24;
      scrolled.set(each.id, isAtEnd ? "end" : each.scrollTop);
    }
    const focus = target.contains(document.activeElement) ? address(document.activeElement, target) : null;
    kept.set(target.id, { open, scrolled, focus });
  }

  // Where an element is: its own id, else its place among the focusable ones of the fragment.
  const FOCUSABLE = "a[href], button, summary, input, select, textarea, [tabindex]";

  function address(element, root) {
    return { id: element.id, index: [...root.querySelectorAll(FOCUSABLE)].indexOf(element) };
  }

  function restore(id) {
    const was = kept.get(id);
    const root = document.getElementById(id);
    kept.delete(id);
    if (!was || !root) return;
    for (const [key, open] of was.open) {
      const details = document.getElementById(key);
      if (details) details.open = open;
    }
    for (const [key, position] of was.scrolled) {
      const box = document.getElementById(key);
      if (box) box.scrollTop = position === "end" ? box.scrollHeight : position;
    }
    if (was.focus) {
      const found = was.focus.id
        ? document.getElementById(was.focus.id)
        : root.querySelectorAll(FOCUSABLE)[was.focus.index];
      if (found) found.focus({ preventScroll: true });
    }
  }

  // The parts that depend on who looks are asked for again when what they belong to has changed.
  function refreshAround(id) {
    for (const part of document.querySelectorAll("[data-refresh-with]")) {
      // Somebody is writing or choosing there: the server checks again whatever they send.
      if (part.contains(document.activeElement) && document.activeElement.matches("input, textarea")) continue;
      if (part.dataset.refreshWith.split(" ").includes(id)) htmx.trigger(part, "refresh");
    }
  }

  // A fragment that this page does not show (another page of the matrix) is dropped before htmx complains.
  htmx.defineExtension("slipway", {
    transformResponse(text) {
      const box = document.createElement("template");
      box.innerHTML = text;
      for (const child of [...box.content.children]) {
        if (!child.id || !document.getElementById(child.id)) child.remove();
      }
      return box.innerHTML;
    },
  });

  // A log is read from its end.
  for (const box of document.querySelectorAll("[data-follow]")) box.scrollTop = box.scrollHeight;

  body.addEventListener("htmx:wsOpen", (event) => {
    const wants = body.dataset.liveWants.split(" ").filter(Boolean);
    const hello = { since, wants, language: document.documentElement.lang };
    event.detail.socketWrapper.sendImmediately(JSON.stringify(hello));
  });
  body.addEventListener("htmx:oobBeforeSwap", remember);
  body.addEventListener("htmx:wsAfterMessage", () => {
    const swapped = [...kept.keys()];
    swapped.forEach(restore);
    swapped.forEach(refreshAround);
    heard();
  });
  body.addEventListener("htmx:wsClose", (event) => {
    show("stale");
    const code = event.detail.event && event.detail.event.code;
    if (code === SIGNED_OUT || code === TOO_OLD) {
      window.location.reload();
      return;
    }
    // htmx connects again by itself after these; any other end would leave the page stale for ever.
    if (![1006, 1011, 1012, 1013].includes(code)) {
      setTimeout(() => event.detail.socketWrapper.reconnect(), RECONNECT_AFTER * (1 + Math.random()));
    }
  });

  // Parts loaded for this visitor are replaced, too: they keep their focus the same way.
  body.addEventListener("htmx:beforeSwap", (event) => remember({ detail: { target: event.detail.target } }));
  body.addEventListener("htmx:afterSwap", (event) => restore(event.detail.target.id));

  setInterval(() => {
    if (lastHeard && Date.now() - lastHeard > SILENCE) show("stale");
  }, 1000);
  setTimeout(() => {
    if (!lastHeard) show("stale");
  }, SILENCE);
})();
