"""The resources the simulated cluster serves, and their names in the API."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One resource of the API: where it is served and what it is called."""

    group: str
    version: str
    plural: str
    kind: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    # With a status subresource a write to the main URL ignores `status` (kubernetes-watch.md section 1).
    has_status: bool = False

    @property
    def api_version(self) -> str:
        # The core group is old enough to have no name, in manifests as in paths.
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def custom(self) -> bool:
        """Tell a custom resource from one of Kubernetes' own."""
        return bool(self.group)

    @property
    def qualified(self) -> str:
        """The name used in messages: "pods", "pipelineruns.tekton.dev"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


NAMESPACE = Kind("", "v1", "namespaces", "Namespace", ("ns",), namespaced=False)
POD = Kind("", "v1", "pods", "Pod", ("po",))
EVENT = Kind("", "v1", "events", "Event", ("ev",))
PIPELINE_RUN = Kind("tekton.dev", "v1", "pipelineruns", "PipelineRun", ("pr", "prs"), has_status=True)
TASK_RUN = Kind("tekton.dev", "v1", "taskruns", "TaskRun", ("tr", "trs"), has_status=True)
PIPELINE = Kind("tekton.dev", "v1", "pipelines", "Pipeline")
TASK = Kind("tekton.dev", "v1", "tasks", "Task")
# Still v1beta1, beside Tekton's other kinds in v1.
CUSTOM_RUN = Kind("tekton.dev", "v1beta1", "customruns", "CustomRun", has_status=True)
# Triggers is a project of its own, with a group of its own.
EVENT_LISTENER = Kind("triggers.tekton.dev", "v1beta1", "eventlisteners", "EventListener", ("el",))
TRIGGER_BINDING = Kind("triggers.tekton.dev", "v1beta1", "triggerbindings", "TriggerBinding", ("tb",))
TRIGGER_TEMPLATE = Kind("triggers.tekton.dev", "v1beta1", "triggertemplates", "TriggerTemplate", ("tt",))

KINDS = (
    NAMESPACE,
    POD,
    EVENT,
    PIPELINE_RUN,
    TASK_RUN,
    PIPELINE,
    TASK,
    CUSTOM_RUN,
    EVENT_LISTENER,
    TRIGGER_BINDING,
    TRIGGER_TEMPLATE,
)


def find(group: str, version: str, plural: str) -> Kind | None:
    """Return the resource served at the address, or None."""
    return next((k for k in KINDS if (k.group, k.version, k.plural) == (group, version, plural)), None)


def of(manifest: dict[str, object]) -> Kind | None:
    """Return the resource a manifest's apiVersion and kind name, or None."""
    wanted = (manifest.get("apiVersion"), manifest.get("kind"))
    return next((k for k in KINDS if (k.api_version, k.kind) == wanted), None)
