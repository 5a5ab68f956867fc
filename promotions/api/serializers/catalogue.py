"""Applications, environments, stages, versions."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from promotions.api.serializers.bodies import RefusalSerializer
from promotions.choices import AutomationState, Role
from promotions.models import (
    Application,
    Environment,
    Image,
    ImageVersion,
    Pin,
    Promotion,
    Stage,
    StageState,
)
from promotions.pins import ordering_of
from promotions.policy.gathering import pin_sentence
from promotions.present.access import PersonRow


class ImageSerializer(serializers.ModelSerializer[Image]):
    connection = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)

    class Meta:
        model = Image
        fields = ("id", "slug", "repository", "connection")


class CellSerializer(serializers.ModelSerializer[Stage]):
    environment = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)

    class Meta:
        model = Stage
        fields = ("id", "environment", "promotable")


class ApplicationSerializer(serializers.ModelSerializer[Application]):
    source_connection = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    images = ImageSerializer(many=True, read_only=True)
    stages = CellSerializer(many=True, read_only=True)

    class Meta:
        model = Application
        fields = (
            "id",
            "slug",
            "name",
            "description",
            "source_connection",
            "source_project",
            "images",
            "stages",
        )


class EnvironmentSerializer(serializers.ModelSerializer[Environment]):
    """`policy` holds what the catalogue says of gates, without the addresses and secrets of checks."""

    policy = serializers.SerializerMethodField()

    class Meta:
        model = Environment
        fields = ("id", "slug", "name", "order", "risk", "required_approvals", "policy")

    def get_policy(self, environment: Environment) -> dict[str, Any]:
        checks = environment.policy.get("checks")
        shown = {"checks": [check["name"] for check in checks]} if checks else {}
        return {**environment.policy, **shown}


class VersionSerializer(serializers.ModelSerializer[ImageVersion]):
    application = serializers.CharField(source="image.application.slug", read_only=True)
    image = serializers.CharField(source="image.slug", read_only=True)
    repository = serializers.CharField(source="image.repository", read_only=True)
    # What people call it. The stubs take every `label` for the field's own title.
    label = serializers.CharField(read_only=True)  # type: ignore[assignment]
    blocked = serializers.SerializerMethodField()

    class Meta:
        model = ImageVersion
        fields = (
            "id",
            "application",
            "image",
            "repository",
            "label",
            "digest",
            "tag",
            "tags",
            "commit",
            "built_by",
            "created_at",
            "missing_since",
            "blocked",
            "scan_status",
            "scan_severity",
            "pipeline_status",
        )

    def get_blocked(self, version: ImageVersion) -> str | None:
        """The reason why it is marked as bad, null where it is not."""
        # Read with all blocks of the version: a list prefetches them.
        standing = [block.reason for block in version.blocks.all() if block.lifted_at is None]
        return standing[0] if standing else None


class VersionInShortSerializer(serializers.ModelSerializer[ImageVersion]):
    label = serializers.CharField(read_only=True)  # type: ignore[assignment]

    class Meta:
        model = ImageVersion
        fields = ("id", "label", "tag", "digest", "commit")


class ManifestsSerializer(serializers.ModelSerializer[Stage]):
    connection = serializers.CharField(source="manifest_connection.slug", read_only=True)
    project = serializers.CharField(source="manifest_project", read_only=True)
    branch = serializers.CharField(source="manifest_branch", read_only=True)
    path = serializers.CharField(source="manifest_path", read_only=True)

    class Meta:
        model = Stage
        fields = (
            "connection",
            "project",
            "branch",
            "path",
            "places",
            "edit_style",
            "write_mode",
            "team_branch",
            "merged_by_people",
        )


class DesiredSerializer(serializers.ModelSerializer[StageState]):
    """What the manifests in Git ask for."""

    tag = serializers.CharField(source="desired_tag", read_only=True)
    digest = serializers.CharField(source="desired_digest", read_only=True)
    version = VersionInShortSerializer(source="desired_version", read_only=True, allow_null=True)
    commit = serializers.CharField(source="desired_commit", read_only=True)
    places = serializers.JSONField(source="desired_places", read_only=True)
    problem = serializers.CharField(source="desired_problem", read_only=True)
    seen_at = serializers.DateTimeField(source="desired_seen_at", read_only=True, allow_null=True)

    class Meta:
        model = StageState
        fields = ("tag", "digest", "version", "commit", "places", "problem", "seen_at")


class RunningSerializer(serializers.ModelSerializer[StageState]):
    """What Argo CD reports as live."""

    tag = serializers.CharField(source="running_tag", read_only=True)
    digest = serializers.CharField(source="running_digest", read_only=True)
    version = VersionInShortSerializer(source="running_version", read_only=True, allow_null=True)
    others = serializers.JSONField(source="running_others", read_only=True)
    problem = serializers.CharField(source="running_problem", read_only=True)
    seen_at = serializers.DateTimeField(source="running_seen_at", read_only=True, allow_null=True)

    class Meta:
        model = StageState
        fields = (
            "tag",
            "digest",
            "version",
            "others",
            "sync_status",
            "health_status",
            "health_since",
            "degraded_since",
            "revision",
            "operation_phase",
            "problem",
            "seen_at",
        )


class PromotedSerializer(serializers.ModelSerializer[Promotion]):
    """What Slipway brought there last."""

    promotion = serializers.IntegerField(source="id", read_only=True)
    version = VersionInShortSerializer(read_only=True)

    class Meta:
        model = Promotion
        fields = ("promotion", "version", "finished_at")


class ManifestCommitSerializer(serializers.Serializer[Any]):
    """A commit that touched the Stage's manifests; `promotion` is the key it carries, "" for any other."""

    sha = serializers.CharField()
    title = serializers.CharField()
    author = serializers.CharField()
    at = serializers.DateTimeField(allow_null=True)
    url = serializers.CharField()
    tag = serializers.CharField(help_text="What the manifests ask for at this commit")
    digest = serializers.CharField()
    promotion = serializers.CharField()


class PinSerializer(serializers.ModelSerializer[Pin]):
    version = VersionInShortSerializer(read_only=True)
    set_by = serializers.CharField(source="set_by_name", read_only=True)

    class Meta:
        model = Pin
        fields = ("version", "reason", "set_by", "set_at", "promotion")


class AutomationSerializer(serializers.Serializer[Any]):
    """How automatic promotion stands: `version` is what comes next, `message` what it waits for."""

    newest_by = serializers.CharField()
    state = serializers.ChoiceField(choices=AutomationState.choices, allow_null=True)
    message = serializers.CharField()
    version = VersionInShortSerializer(allow_null=True)
    until = serializers.DateTimeField(allow_null=True, help_text="When what it waits for ends, where known")
    pin = PinSerializer(allow_null=True)


class StageSerializer(serializers.ModelSerializer[Stage]):
    """The three answers about a Stage are `desired`, `running` and `promoted`; null where not yet known."""

    application = serializers.CharField(source="application.slug", read_only=True)
    environment = serializers.CharField(source="environment.slug", read_only=True)
    image = serializers.CharField(source="image.slug", read_only=True)
    manifests = ManifestsSerializer(source="*", read_only=True)
    argocd_connection = serializers.CharField(
        source="argocd_connection.slug", read_only=True, allow_null=True, default=None
    )
    verification_connection = serializers.CharField(
        source="verification_connection.slug", read_only=True, allow_null=True, default=None
    )
    desired = DesiredSerializer(source="state", read_only=True, allow_null=True, default=None)
    running = RunningSerializer(source="state", read_only=True, allow_null=True, default=None)
    promoted = PromotedSerializer(source="state.promoted", read_only=True, allow_null=True, default=None)

    automation = serializers.SerializerMethodField()

    manifest_commits = ManifestCommitSerializer(
        source="history.commits",
        many=True,
        read_only=True,
        default=(),
        help_text="The last ones that touched its places, newest first; read when somebody looks",
    )

    class Meta:
        model = Stage
        fields = (
            "id",
            "application",
            "environment",
            "image",
            "promotable",
            "promote",
            "automation",
            "manifests",
            "argocd_connection",
            "argocd_project",
            "argocd_application",
            "verification_connection",
            "verification_pipeline",
            "desired",
            "running",
            "promoted",
            "manifest_commits",
        )

    @extend_schema_field(AutomationSerializer(allow_null=True))
    def get_automation(self, stage: Stage) -> dict[str, Any] | None:
        """Null where only people ask for promotions."""
        if not stage.promotes_automatically:
            return None
        row = stage.automation if hasattr(stage, "automation") else None
        pinned = [pin for pin in stage.pins.all() if pin.lifted_at is None]
        shown = {
            "newest_by": ordering_of(stage).by,
            "state": AutomationState.HELD if pinned else row and row.state,
            "message": pin_sentence(pinned[0]) if pinned else row.message if row else "",
            "version": row.version if row else None,
            "until": row.until if row else None,
            "pin": pinned[0] if pinned else None,
        }
        return dict(AutomationSerializer(shown).data)


class EditSerializer(serializers.Serializer[Any]):
    file = serializers.CharField()
    key = serializers.CharField()
    old = serializers.CharField(allow_null=True, help_text="null: the key is added")
    new = serializers.CharField(allow_null=True, help_text="null: the key is removed")


class ChangeSerializer(serializers.Serializer[Any]):
    hash = serializers.CharField(help_text="Binds a request or an approval to exactly this change")
    diff = serializers.CharField()
    edits = EditSerializer(many=True)


class RenderedSerializer(serializers.Serializer[Any]):
    """What the change does to the built manifests: a unified diff, or in `note` why there is none."""

    diff = serializers.CharField()
    note = serializers.CharField()


class ManifestPlaceSerializer(serializers.Serializer[Any]):
    """One value in the manifests that decides which version runs."""

    file = serializers.CharField()
    document = serializers.IntegerField(help_text="Counted from 0 within the file")
    key = serializers.CharField(source="key_path")
    value = serializers.CharField()
    kind = serializers.CharField(source="kind.value", help_text="The format of the place")
    line = serializers.IntegerField(help_text="Counted from 1")


class ChoiceSerializer(serializers.Serializer[Any]):
    """Places that make one version together, and what the catalogue's file says to choose them."""

    places = ManifestPlaceSerializer(many=True)
    catalogue = serializers.CharField(help_text="YAML to merge into the catalogue's file")


class PreviewSerializer(serializers.Serializer[Any]):
    """What a promotion would do now, and why it may not go: no refusals means that it may."""

    base_commit = serializers.CharField()
    change = ChangeSerializer(allow_null=True)
    rendered = RenderedSerializer()
    refusals = RefusalSerializer(many=True)
    choices = ChoiceSerializer(many=True, help_text="Where several places decide the version: choose one")
    disagreement = serializers.CharField(help_text="That the places name different versions by now, or empty")


class PersonAccessSerializer(serializers.Serializer[PersonRow]):
    """One person's standing at a Stage."""

    username = serializers.CharField()
    name = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.values)
    may = serializers.ListField(child=serializers.CharField())
    because = serializers.ListField(child=serializers.CharField())


class AnswerSerializer(serializers.Serializer[Any]):
    """May the version go to the Stage now, and if not, when?"""

    may = serializers.BooleanField(help_text="Nothing is in its way but the approvals it needs")
    refusals = RefusalSerializer(many=True)
    not_before = serializers.DateTimeField(
        allow_null=True, help_text="Where only time is in its way: the earliest moment that is known"
    )
    approvals_needed = serializers.IntegerField()
