// The page works without this: forms post and come back. With it, buttons act in place and the state
// keeps itself fresh.
const note = document.getElementById("note");
const state = document.getElementById("state");

async function refresh() {
  try {
    const answer = await fetch("/fragment");
    if (answer.ok) {
      const html = await answer.text();
      if (html !== state.dataset.last) {
        state.dataset.last = html;
        state.innerHTML = html;
      }
    }
  } catch {
    // The sandbox is restarting: the next round finds it.
  }
}

function say(text, kind) {
  note.textContent = text;
  note.className = kind;
}

async function play(form, button) {
  button.disabled = true;
  const given = Object.fromEntries(new FormData(form));
  const action = form.action.split("/").pop();
  try {
    const answer = await fetch(`/api/play/${action}`, { method: "POST", body: JSON.stringify(given) });
    const body = await answer.json();
    if (answer.ok) {
      const words = Object.entries(body).map(([name, value]) => {
        const shown = typeof value === "object" ? JSON.stringify(value) : String(value);
        return `${name.replaceAll("_", " ")} ${name === "commit" ? shown.slice(0, 8) : shown}`;
      });
      say(`${button.textContent}: ${words.join(", ")}`, "done");
      if (body.tag) {
        form.reset();
        form.elements.version.value = "";
      }
    } else {
      say(body.message, "refused");
    }
  } catch {
    say("The sandbox does not answer.", "refused");
  }
  button.disabled = false;
  await refresh();
}

document.querySelectorAll("form.play").forEach((form) => {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    play(form, form.querySelector("button"));
  });
});

setInterval(() => {
  if (!document.hidden) refresh();
}, 1500);
