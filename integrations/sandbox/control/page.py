"""The control page as HTML: plain, escaped, no inline script or style."""

from __future__ import annotations

import html
from collections.abc import Iterable

from integrations.sandbox.control.menu import Field, Play, offered
from integrations.sandbox.control.plays import Json


def text(value: object) -> str:
    """Escape anything for HTML."""
    return html.escape(str(value))


def summary(done: Json) -> str:
    """Say what a play did in one line; commit ids are cut short."""
    words = []
    for name, value in done.items():
        shown = value[:8] if name in ("commit", "sha") and isinstance(value, str) else value
        words.append(f"{name.replace('_', ' ')} {shown}")
    return ", ".join(words)


def index(state_now: Json, version: str, notes: dict[str, str]) -> str:
    """Return the whole page, with the plays of the loaded scenarios."""
    scenarios = tuple(state_now["scenarios"])
    groups = "".join(_group(title, about, plays, version) for title, about, plays in offered(scenarios))
    slipway = state_now["hook_base"]
    # The note comes from the URL: everything in it is escaped below.
    kind = "refused" if notes["refused"] else "done"
    link = (
        f'<a href="{text(slipway)}">Open Slipway</a>' if slipway else "<span>Slipway is not connected</span>"
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Slipway sandbox</title>
<link rel="stylesheet" href="/static/control.css">
<script src="/static/control.js" defer></script>
</head>
<body>
<header>
<div><h1>Slipway sandbox</h1>
<p>You play everybody else: the developers, the cluster, the network.
Slipway reacts on its own page.</p></div>
<nav>{link}</nav>
</header>
<p id="note" role="status" class="{kind}">{text(notes["refused"] or notes["done"])}</p>
<main>
<section class="plays" aria-label="Plays">{groups}</section>
<section id="state" class="state" aria-label="State">{state(state_now)}</section>
</main>
</body>
</html>
"""


def _group(title: str, about: str, plays: Iterable[Play], version: str) -> str:
    forms = "".join(_form(play, version) for play in plays)
    return f'<section class="group"><h2>{text(title)}</h2><p class="about">{text(about)}</p>{forms}</section>'


def _form(play: Play, version: str) -> str:
    inputs = "".join(
        f'<label>{text(field.label)} <input name="{field.name}" type="{field.kind}" '
        f'value="{text(_default(play.name, field, version))}"></label>'
        for field in play.fields
    )
    return (
        f'<form method="post" action="/play/{play.name}" class="play {play.tone}">'
        f'<button type="submit">{text(play.label)}</button><span class="hint">{text(play.hint)}</span>'
        f"{f'<span class=fields>{inputs}</span>' if inputs else ''}</form>"
    )


def _default(play: str, field: Field, version: str) -> str:
    """Return what stands in a field: the version that comes next where one is tagged."""
    return version if (play, field.name) == ("tag", "version") else field.default


def state(now: Json) -> str:
    """Return the state's part of the page, also fetched alone."""
    parts = [_faults(now["faults"]), _applications(now), _runs(now), _images(now)]
    parts += [_project(row) for row in now["projects"]]
    parts.append(_chat(now))
    parts.append(_hooks(now))
    return "".join(parts)


def _table(title: str, heads: Iterable[str], rows: list[str], nothing: str) -> str:
    if not rows:
        return f'<section class="card"><h2>{text(title)}</h2><p class="nothing">{text(nothing)}</p></section>'
    head = "".join(f'<th scope="col">{text(one)}</th>' for one in heads)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<section class="card"><h2>{text(title)}</h2>{table}</section>'


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _mark(word: str) -> str:
    """Return a state word with the colour of its kind."""
    good, bad = (
        {"synced", "healthy", "succeeded", "merged"},
        {"degraded", "failed", "closed", "missing", "lost"},
    )
    kind = "good" if word.lower() in good else "bad" if word.lower() in bad else "open"
    return f'<span class="mark {kind}">{text(word)}</span>'


def _code(value: str, length: int = 8) -> str:
    return f"<code>{text(value.removeprefix('sha256:')[:length])}</code>" if value else ""


def _faults(faults: Json) -> str:
    active = {name: value for name, value in faults.items() if value}
    rows = [_row(text(name), f"<code>{text(value)}</code>") for name, value in active.items()]
    return _table("Misbehaviour", ("part", "now"), rows, "Everything works as it should.") if rows else ""


def _applications(now: Json) -> str:
    rows = [
        _row(
            f"<strong>{text(row['name'])}</strong>",
            _mark(row["sync"]),
            _mark(row["health"]),
            _code(row["revision"]),
            "<br>".join(text(image.rsplit("/", 1)[-1]) for image in row["images"]),
        )
        for row in now["applications"]
    ]
    return _table("Argo CD", ("application", "sync", "health", "commit", "images"), rows, "No applications.")


def _runs(now: Json) -> str:
    rows = [_row(text(row["name"]), _mark(row["status"]), text(row["reason"])) for row in now["runs"]]
    return _table("Tekton runs", ("run", "state", "reason"), rows, "No run yet: push to dev.")


def _images(now: Json) -> str:
    rows = [
        _row(
            text(row["repository"].split("/", 1)[-1]),
            text(", ".join(row["tags"]) or "untagged"),
            _code(row["digest"], 12),
        )
        for row in now["images"]
    ]
    return _table("Images", ("repository", "tag", "digest"), rows, "No images.")


def _project(project: Json) -> str:
    rows = [
        _row(
            f"<strong>{text(row['name'])}</strong>",
            _code(row["commit"]),
            text(row["title"]),
            text(row["author"]),
        )
        for row in project["branches"]
    ]
    # Merge requests share the table of branches: together they are what happens to the project.
    rows += [
        _row(
            f"!{row['iid']}",
            _mark(row["state"]),
            text(row["title"]),
            text(f"{row['source_branch']} → {row['target_branch']}"),
        )
        for row in project["merge_requests"]
    ]
    title = project["path"] + (f" (tags {', '.join(project['tags'][-4:])})" if project["tags"] else "")
    return _table(title, ("branch", "tip", "title", "by"), rows, "Empty.")


def _chat(now: Json) -> str:
    rows = [
        _row(f"<strong>{text(said['title'])}</strong>", text(said["message"].replace("\n", " · ")))
        for said in reversed(now["chat"])
    ]
    return _table("Chat room “releases”", ("message", "more"), rows, "Nothing was said yet.")


def _hooks(now: Json) -> str:
    rows = [
        _row(
            text(row["trigger"].removesuffix(" Hook")),
            text(row["to"]),
            text(row["response_status"] or "not sent"),
            _time(row["created_at"]),
        )
        for row in now["hooks"]
    ]
    return _table("GitLab webhooks", ("event", "to", "answer", "at (UTC)"), rows, "None sent yet.")


def _time(stamp: str) -> str:
    return f'<time datetime="{text(stamp)}">{text(stamp[11:19])}</time>'
