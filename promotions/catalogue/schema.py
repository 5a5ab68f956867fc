"""The sections of a catalogue file. docs/catalogue.md is this in words."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

import yaml

from promotions.catalogue.newest import newest_of
from promotions.catalogue.policy import check_requires, freeze_values, policy_of
from promotions.catalogue.problems import CatalogueError, Problem, Problems, shown, suggestion
from promotions.catalogue.reading import Keys, Unreadable, compose, line_of, secret_reference
from promotions.catalogue.rows import (
    APPLICATION,
    CHANNEL,
    CONNECTION,
    ENVIRONMENT,
    FREEZE,
    IMAGE,
    ROLE,
    STAGE,
    WEBHOOK_SOURCE,
    Catalogue,
    Kind,
    Row,
)
from promotions.catalogue.stages import ApplicationContext, stage_row
from promotions.choices import Personal, Risk, Role, SigningFormat, Vendor
from promotions.notifications import EVENTS

REGISTRIES = (Vendor.HARBOR, Vendor.DISTRIBUTION)


def read_catalogue(text: str, *, file: str) -> Catalogue:
    """Return what the file declares; raises CatalogueError with everything that is wrong with it."""
    try:
        root = compose(text)
    except Unreadable as error:
        raise CatalogueError(file, [Problem(error.line, "", str(error))]) from error
    if root is None:
        raise CatalogueError(file, [Problem(0, "", "the file is empty.")])
    problems = Problems()
    rows = _Reader(Keys(root, "", problems, line=1), problems).read()
    if problems.found:
        raise CatalogueError(file, problems.found)
    return Catalogue(file, {kind: tuple(found) for kind, found in rows.items()})


class _Reader:
    def __init__(self, top: Keys, problems: Problems) -> None:
        self.top = top
        self.problems = problems
        self.connections: dict[str, Row] = {}
        self.environments: dict[str, Row] = {}
        self.applications: dict[str, Row] = {}
        self.images: list[Row] = []
        self.stages: list[Row] = []
        self.rows: dict[Kind, list[Row]] = {}

    def read(self) -> dict[Kind, list[Row]]:
        # Keys that begin with x- belong to the file's author: a place for YAML anchors.
        self.top.asked |= {name for name in self.top.nodes if name.startswith("x-")}
        self._connections()
        self._webhook_sources()
        self._environments()
        self._applications()
        self._roles()
        self._notifications()
        self._freezes()
        self.top.finish()
        return self.rows

    def _declare(self, section: str, rows: dict[Kind, list[Row]]) -> None:
        """Take what a section declares: an absent one leaves its tables alone, an empty one empties them."""
        if section in self.top:
            self.rows |= rows

    def _entry(self, node: yaml.Node, path: str, line: int) -> Keys:
        keys = Keys(node, path, self.problems, line=line)
        keys.line = line
        return keys

    def _connections(self) -> None:
        for name, line, node, path in self.top.named("connections"):
            keys = self._entry(node, path, line)
            self.connections[name] = Row((name,), _connection(keys), line, path)
            keys.finish()
        self._declare("connections", {CONNECTION: list(self.connections.values())})

    def _of_vendor(self, *vendors: str) -> dict[str, Row]:
        return {name: row for name, row in self.connections.items() if row.values["vendor"] in vendors}

    def connection(self, keys: Keys, key: str, *vendors: str) -> str:
        """Return the connection a key names; where there is but one of the vendor it need not be named."""
        known = self._of_vendor(*vendors)
        noun = f"{' or '.join(str(Vendor(vendor).label) for vendor in vendors)} connection"
        if key in keys:
            return keys.reference(key, known, noun)
        if len(known) == 1:
            return next(iter(known))
        # A connection whose vendor is misspelt is reported as such; what follows from it is no news.
        if all(row.values["vendor"] for row in self.connections.values()):
            lacking = "There are several" if known else "There is no"
            keys.missing(key, f"{lacking} {noun}{'s' if known else ''} to default to.{suggestion('', known)}")
        return ""

    def _webhook_sources(self) -> None:
        seen: dict[str, int] = {}
        found: list[Row] = []
        for node, path in self.top.items("webhook_sources"):
            keys = self._entry(node, path, line_of(node))
            row = self._webhook_source(keys)
            # Without an id it is known by its connection: a second one could not be told apart.
            name = row.key[0] or str(row.values["connection__slug"])
            if name in seen:
                message = f"is the same source as in line {seen[name]}: give each an id."
                keys.problems.add(keys.line, path, message)
            seen[name] = keys.line
            found.append(row)
            keys.finish()
        self._declare("webhook_sources", {WEBHOOK_SOURCE: found})

    def _webhook_source(self, keys: Keys) -> Row:
        connection = keys.reference("connection", self.connections, "connection")
        if "connection" not in keys:
            keys.missing("connection")
        vendor = self.connections[connection].values["vendor"] if connection else ""
        if vendor and vendor not in (Vendor.GITLAB, *REGISTRIES):
            keys.wrong("connection", f"{Vendor(str(vendor)).label} sends no webhooks to Slipway.")
        values = {
            "connection__slug": connection,
            "tokens": _secrets(keys, "tokens"),
            "signing_tokens": _secrets(keys, "signing_tokens"),
        }
        if values["signing_tokens"] and vendor != Vendor.GITLAB:
            keys.wrong("signing_tokens", "only GitLab signs its webhooks: use tokens.")
        if "tokens" not in keys and "signing_tokens" not in keys:
            keys.missing("tokens", "Without one every webhook would be refused.")
        return Row((_uuid(keys),), values, keys.line, keys.path)

    def _environments(self) -> None:
        orders: dict[object, str] = {}
        entries = enumerate(self.top.named("environments"), start=1)
        for position, (name, line, node, path) in entries:
            keys = self._entry(node, path, line)
            row = Row((name,), _environment(keys, name, position), line, path)
            if (other := orders.setdefault(row.values["order"], name)) != name:
                keys.wrong("order", f'environment "{other}" has order {row.values["order"]} already.')
            self.environments[name] = row
            keys.finish()
        check_requires(self.top, self.environments, self.problems)
        self._declare("environments", {ENVIRONMENT: list(self.environments.values())})

    def _applications(self) -> None:
        for name, line, node, path in self.top.named("applications"):
            keys = self._entry(node, path, line)
            self._application(keys, name)
            keys.finish()
        applications = list(self.applications.values())
        self._declare("applications", {APPLICATION: applications, IMAGE: self.images, STAGE: self.stages})

    def _application(self, keys: Keys, name: str) -> None:
        source = keys.keys("source", short_for="project")
        if "source" not in keys:
            keys.missing("source")
        values = {
            "name": keys.text("name", name, longest=100),
            "description": keys.text("description", longest=5000),
            "source_connection__slug": self.connection(source, "connection", Vendor.GITLAB),
            "source_project": source.text("project", required="source" in keys),
        }
        source.finish()
        self.applications[name] = Row((name,), values, keys.line, keys.path)
        images = self._images(keys, name)
        self.images += images.values()
        plain_git = self._of_vendor(Vendor.GIT)
        context = ApplicationContext(name, images, keys.keys("manifests"), self.connection, plain_git)
        for environment, line, node, path in keys.named("stages"):
            if environment not in self.environments:
                hint = suggestion(environment, self.environments)
                self.problems.add(line, path, f"there is no environment {shown(environment)}.{hint}")
            stage = self._entry(node, path, line)
            self.stages.append(stage_row(stage, environment, context))
            stage.finish()
        if "stages" in keys:
            context.manifests.finish()

    def _images(self, keys: Keys, application: str) -> dict[str, Row]:
        found: dict[str, Row] = {}
        repositories: dict[object, str] = {}
        if "images" not in keys:
            keys.missing("images")
        for name, line, _node, path in keys.named("images"):
            # Asked for again by name: an image may be written as its repository alone.
            listed = Keys(keys.node("images"), keys.at("images"), self.problems)
            image = listed.keys(name, short_for="repository")
            values = self._image(image)
            if (other := repositories.setdefault(values["repository"], name)) != name:
                self.problems.add(line, path, f'image "{other}" is the same repository.')
            found[name] = Row((application, name), values, line, path)
            image.finish()
        return found

    def _image(self, keys: Keys) -> dict[str, object]:
        repository = keys.text("repository", required=True)
        host, _, path = repository.partition("/")
        if repository and (not path or ":" in path or "@" in path or repository != repository.lower()):
            message = "must be host/path in small letters without tag or digest"
            keys.wrong("repository", f"{message}, not {shown(repository)}.")
        if "connection" not in keys:
            answering = [
                name for name, row in self._of_vendor(*REGISTRIES).items() if row.values["host"] == host
            ]
            if len(answering) == 1:
                return {"connection__slug": answering[0], "repository": repository, "newest": newest_of(keys)}
        connection = self.connection(keys, "connection", *REGISTRIES)
        return {"connection__slug": connection, "repository": repository, "newest": newest_of(keys)}

    def _roles(self) -> None:
        found: dict[tuple[str | None, ...], Row] = {}
        for node, path in self.top.items("roles"):
            keys = self._entry(node, path, line_of(node))
            role = keys.choice("role", Role.values, required=True)
            for person in _people(keys):
                for application in _listed(keys, "application", self.applications):
                    for environment in _listed(keys, "environment", self.environments):
                        key = (*person, role, application, environment)
                        found.setdefault(key, Row(key, {}, keys.line, path))
            keys.finish()
        self._declare("roles", {ROLE: list(found.values())})

    def _notifications(self) -> None:
        found = []
        for name, line, node, path in self.top.named("notifications"):
            keys = self._entry(node, path, line)
            if "url" not in keys:
                keys.missing("url")
            personal = keys.choice("personal", Personal.values)
            for key in ("events", "applications", "environments"):
                if personal and key in keys:
                    keys.wrong(key, "means nothing for a personal channel: each person chooses.")
            events = [event for event, _line in keys.texts("events")]
            for event in events:
                if event not in EVENTS:
                    keys.wrong("events", f"there is no event {shown(event)}.{suggestion(event, EVENTS)}")
            values = {
                "url": keys.secret("url"),
                "personal": personal,
                "events": events,
                "applications": [n for n in _listed(keys, "applications", self.applications) if n],
                "environments": [n for n in _listed(keys, "environments", self.environments) if n],
            }
            found.append(Row((name,), values, line, path))
            keys.finish()
        self._declare("notifications", {CHANNEL: found})

    def _freezes(self) -> None:
        found = []
        for name, line, node, path in self.top.named("freezes"):
            keys = self._entry(node, path, line)
            values = {
                **freeze_values(keys),
                "applications": [n for n in _listed(keys, "applications", self.applications) if n],
                "environments": [n for n in _listed(keys, "environments", self.environments) if n],
            }
            found.append(Row((name,), values, line, path))
            keys.finish()
        self._declare("freezes", {FREEZE: found})


def _connection(keys: Keys) -> dict[str, object]:
    vendor = keys.choice("vendor", Vendor.values, required=True)
    url = keys.git_address("url") if vendor == Vendor.GIT else keys.address("url", required=True)
    is_registry, is_git = vendor in REGISTRIES, vendor == Vendor.GIT
    values: dict[str, object] = {
        "vendor": vendor,
        "url": url,
        "username": keys.text("username", longest=200),
        "secret": keys.secret("secret"),
        "ca_file": keys.text("ca_file", longest=500),
        "host": keys.text("host", urlsplit(url).netloc if is_registry else ""),
        "namespace": keys.text("namespace", longest=63),
        "web_url": keys.address("web_url"),
        "known_hosts": keys.text("known_hosts", longest=500),
        "signing_key": keys.secret("signing_key"),
        "signing_format": keys.choice(
            "signing_format", SigningFormat.values, SigningFormat.SSH if "signing_key" in keys else ""
        ),
    }
    if vendor == Vendor.TEKTON and "namespace" not in keys:
        keys.missing("namespace", "It is where the PipelineRuns are.")
    if is_git and url.startswith("ssh://") and "known_hosts" not in keys:
        keys.missing("known_hosts", "Without the server's host key nobody would know whom we talk to.")
    meaningful = {
        "namespace": vendor == Vendor.TEKTON,
        "host": is_registry,
        "username": is_registry or is_git,
        "known_hosts": is_git,
        "signing_key": is_git,
        "signing_format": is_git and "signing_key" in keys,
    }
    for key, fits in meaningful.items():
        if key in keys and vendor and not fits:
            keys.wrong(key, f"means nothing for {Vendor(vendor).label}.")
    for key in ("ca_file", "known_hosts"):
        if values[key] and not str(values[key]).startswith("/"):
            keys.wrong(key, "must be an absolute path.")
    return values


def _environment(keys: Keys, name: str, position: int) -> dict[str, object]:
    risk = keys.choice("risk", Risk.values, Risk.DEVELOPMENT)
    policy = policy_of(keys, guarded=risk != Risk.DEVELOPMENT)
    seats = sum(rule["count"] for rule in policy.get("approvals", ()))
    return {
        "name": keys.text("name", name, longest=100),
        "order": keys.number("order", position),
        "risk": risk,
        "required_approvals": keys.number(
            "required_approvals", seats or (0 if risk == Risk.DEVELOPMENT else 1), most=100
        ),
        "policy": policy,
    }


def _uuid(keys: Keys) -> str | None:
    value = keys.text("id")
    if not value:
        return None
    try:
        return str(uuid.UUID(value))
    except ValueError:
        keys.wrong("id", f"must be a UUID, for example {uuid.uuid4()}.")
        return None


def _secrets(keys: Keys, key: str) -> list[str]:
    found = [secret_reference(node, path, keys.problems) for node, path in keys.items(key, single=True)]
    return [reference for reference in found if reference]


def _people(keys: Keys) -> Iterable[tuple[str | None, str | None]]:
    if ("user" in keys) == ("group" in keys):
        keys.problems.add(keys.line, keys.path, "must name either user or group.")
    users = [(name, None) for name, _ in keys.texts("user")]
    return [*users, *((None, name) for name, _ in keys.texts("group"))]


def _listed(keys: Keys, key: str, known: Mapping[str, object]) -> list[str | None]:
    """Return the names under a key; [None], which means all, where it is not given."""
    if key not in keys:
        return [None]
    found: list[str | None] = []
    for name, line in keys.texts(key):
        if name not in known:
            message = f"there is no {key} {shown(name)}.{suggestion(name, known)}"
            keys.problems.add(line, keys.at(key), message)
        found.append(name)
    return found
