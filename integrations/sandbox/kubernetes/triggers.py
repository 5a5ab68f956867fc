"""EventListeners: an event comes in, 202 goes out, runs may follow (reference tekton-api.md section 7)."""

from __future__ import annotations

import hmac
import json
import uuid
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from integrations.sandbox import invented
from integrations.sandbox.kubernetes import cel, kinds, variables
from integrations.sandbox.kubernetes.admission import admit
from integrations.sandbox.kubernetes.answers import ApiError
from integrations.sandbox.kubernetes.kinds import EVENT_LISTENER, TRIGGER_BINDING, TRIGGER_TEMPLATE
from integrations.sandbox.kubernetes.objects import Objects

log = structlog.get_logger(__name__)

Object = dict[str, Any]


class TriggerError(Exception):
    """Why a trigger creates nothing; nobody outside is told."""


class Triggers:
    """The services of all EventListeners, at /listeners/NAMESPACE/el-NAME."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.world = objects.world

    def routes(self) -> list[Route]:
        base = "/listeners/{namespace}/el-{name}"
        return [Route(path, self.receive, methods=["POST"]) for path in (base, base + "/{rest:path}")]

    async def receive(self, request: Request) -> Response:
        """Answer before any interceptor ran: the 202 says nothing about what will be created."""
        namespace, name = request.path_params["namespace"], request.path_params["name"]
        listener = self.objects.find(EVENT_LISTENER, namespace, name)
        if listener is None:
            # With an empty body, as Tekton answers for a listener that is gone.
            return Response(status_code=500)
        told: Object = {"eventListener": name, "namespace": namespace}
        try:
            body = json.loads(await request.body())
            if not isinstance(body, dict):
                raise ValueError("not a JSON object")
        except ValueError as error:
            text = f"Invalid event body format : {error}"
            return _answer({**told, "eventListenerUID": "", "errorMessage": text}, 400)
        event_id = str(uuid.uuid4())
        header = cel.Header({key.lower(): value for key, value in request.headers.items()})
        # Interceptors run after the answer: GitLab gives a hook ten seconds.
        work = self._process(listener, body, header, event_id)
        self.world.spawn(work, name=f"eventlistener {namespace}/{name}")
        return _answer({**told, "eventListenerUID": listener["metadata"]["uid"], "eventID": event_id}, 202)

    async def _process(self, listener: Object, body: Object, header: cel.Header, event_id: str) -> None:
        await self.world.pause(0.2)
        for trigger in listener["spec"].get("triggers", []):
            try:
                self._fire(listener, trigger, body, header, event_id)
            # One trigger's refusal must not stop the listener's others.
            except (TriggerError, cel.CelError, ApiError) as refusal:
                log.debug(
                    "trigger created nothing",
                    listener=listener["metadata"]["name"],
                    trigger=trigger.get("name", ""),
                    reason=str(refusal),
                )

    def _fire(
        self, listener: Object, trigger: Object, body: Object, header: cel.Header, event_id: str
    ) -> None:
        known: Object = {"body": body, "header": header, "extensions": {}, "context": {"eventID": event_id}}
        for interceptor in trigger.get("interceptors", []):
            _intercept(interceptor, known)
        namespace = listener["metadata"]["namespace"]
        template = self._spec(TRIGGER_TEMPLATE, namespace, trigger["template"])
        params = self._params(namespace, trigger, template, known)
        labels = {
            "triggers.tekton.dev/eventlistener": listener["metadata"]["name"],
            "triggers.tekton.dev/trigger": trigger.get("name", ""),
            "triggers.tekton.dev/triggers-eventid": event_id,
        }
        # $(uid) is Tekton's own variable, for names that must differ.
        unique = {"uid": uuid.uuid4().hex[:10]}
        for resource in template["resourcetemplates"]:
            manifest = variables.substitute(resource, variables.prefixed("tt.params", params) | unique)
            self._create(namespace, manifest, labels)

    def _create(self, namespace: str, manifest: Object, labels: dict[str, str]) -> None:
        kind = kinds.of(manifest)
        if kind is None:
            raise TriggerError(f"no such kind: {manifest.get('apiVersion')} {manifest.get('kind')}")
        metadata = manifest.setdefault("metadata", {})
        # The event's id on what it created is the only way back from a 202 to a run.
        metadata["labels"] = {**metadata.get("labels", {}), **labels}
        admit(kind, manifest, None)
        self.objects.create(kind, metadata.get("namespace", namespace), manifest)

    def _spec(self, kind: kinds.Kind, namespace: str, reference: Object) -> Object:
        # Written out in the trigger itself, instead of by name.
        if "spec" in reference:
            return dict(reference["spec"])
        return dict(self.objects.get(kind, namespace, reference["ref"])["spec"])

    def _params(self, namespace: str, trigger: Object, template: Object, known: Object) -> Object:
        values: Object = {
            item["name"]: item["default"] for item in template.get("params", []) if "default" in item
        }
        for binding in trigger.get("bindings", []):
            if "ref" in binding:
                listed = self.objects.get(TRIGGER_BINDING, namespace, binding["ref"])["spec"]["params"]
            else:
                listed = [binding]
            for param in listed:
                values[param["name"]] = _bound(param["value"], known)
        return values


def _bound(template: str, known: Object) -> Any:
    """Return a binding's value; a missing field of the body means that nothing is created."""
    names = [part for part in template.split("$(")[1:] if ")" in part]
    found = {path: _lookup(path, known) for path in (part.split(")")[0] for part in names)}
    return variables.substitute(template, found)


def _lookup(path: str, known: Object) -> Any:
    value: Any = known
    for key in path.split("."):
        if isinstance(value, cel.Header):
            key = key.lower()
        if not isinstance(value, dict) or key not in value:
            raise TriggerError(f"failed to replace JSONPath value for param: {path} is not found")
        value = value[key]
    # An object or a list arrives as JSON text; parameters of triggers are strings.
    return json.dumps(value) if isinstance(value, dict | list) else value


def _intercept(interceptor: Object, known: Object) -> None:
    """Run one interceptor; raise TriggerError when it stops the trigger."""
    params = {item["name"]: item["value"] for item in interceptor.get("params", [])}
    match interceptor.get("ref", {}).get("name"):
        case "gitlab":
            _gitlab(params, known["header"])
        case "cel":
            _cel(params, known)


def _gitlab(params: Object, header: cel.Header) -> None:
    wanted = params.get("eventTypes", [])
    # Exactly as the header spells it, "Push Hook" (tekton-api.md section 7).
    if wanted and header.canonical("X-Gitlab-Event") not in wanted:
        raise TriggerError("event type is not allowed")
    sent = header.canonical("X-Gitlab-Token")
    if "secretRef" in params and not hmac.compare_digest(sent.encode(), invented.GITLAB_HOOK_TOKEN.encode()):
        raise TriggerError("invalid X-GitLab-Token")


def _cel(params: Object, known: Object) -> None:
    # Boolean true and nothing else: a filter that gives "true" as text refuses.
    if "filter" in params and cel.evaluate(params["filter"], known) is not True:
        raise TriggerError(f"expression {params['filter']} did not return true")
    for overlay in params.get("overlays", []):
        known["extensions"][overlay["key"]] = cel.evaluate(overlay["expression"], known)


def _answer(body: Object, status: int) -> Response:
    # The Content-Type is set after the header went out, so what arrives is Go's guess.
    return Response(json.dumps(body) + "\n", status, media_type="text/plain")
