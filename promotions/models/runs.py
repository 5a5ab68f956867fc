"""Tekton's runs and GitLab CI's pipelines as last observed. They outlive what the cluster prunes."""

from __future__ import annotations

from django.db import models
from django.urls import reverse

from promotions.choices import RunStatus
from promotions.models.catalogue import Application, Connection


class PipelineRun(models.Model):
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="pipeline_runs")
    application = models.ForeignKey(Application, on_delete=models.SET_NULL, null=True, related_name="runs")
    promotion = models.ForeignKey(
        "promotions.Promotion", on_delete=models.SET_NULL, null=True, related_name="verification_runs"
    )
    uid = models.CharField(max_length=64)
    namespace = models.CharField(max_length=63)
    name = models.CharField(max_length=255)
    pipeline = models.CharField(max_length=255, blank=True)
    status = models.CharField(max_length=20, choices=RunStatus, default=RunStatus.PENDING)
    reason = models.CharField(max_length=100, blank=True)
    message = models.TextField(blank=True)
    commit = models.CharField(max_length=64, blank=True)
    params = models.JSONField(default=dict)
    results = models.JSONField(default=dict)
    plan = models.JSONField(default=list, help_text="[{name, is_finally}] in the pipeline's order")
    skipped = models.JSONField(default=dict, help_text="{task: reason}")
    event_id = models.CharField(max_length=64, blank=True)
    resource_version = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    gone_at = models.DateTimeField(null=True, help_text="When the cluster had pruned it")
    web_url = models.URLField(max_length=1000, blank=True, help_text="Where a GitLab pipeline shows its jobs")

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["connection", "uid"], name="pipelinerun_uid_is_unique")
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("run", args=[self.pk])

    @property
    def is_finished(self) -> bool:
        return self.status not in (RunStatus.PENDING, RunStatus.RUNNING)


class TaskRun(models.Model):
    """`task` is the task's name in the pipeline; `steps` is [{name, container, state, exit_code, ...}]."""

    run = models.ForeignKey(PipelineRun, on_delete=models.CASCADE, related_name="task_runs")
    uid = models.CharField(max_length=64)
    name = models.CharField(max_length=255)
    task = models.CharField(max_length=255)
    status = models.CharField(max_length=20, choices=RunStatus, default=RunStatus.PENDING)
    reason = models.CharField(max_length=100, blank=True)
    message = models.TextField(blank=True)
    pod_name = models.CharField(max_length=255, blank=True)
    attempt = models.PositiveSmallIntegerField(default=1)
    steps = models.JSONField(default=list)
    results = models.JSONField(default=dict)
    resource_version = models.CharField(max_length=64, blank=True)
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["started_at", "id"]
        constraints = [models.UniqueConstraint(fields=["run", "uid"], name="taskrun_uid_is_unique")]

    def __str__(self) -> str:
        return self.name


class StepLog(models.Model):
    """What one step of one attempt printed. Captured while it runs: cancel and pruning delete the pod."""

    task_run = models.ForeignKey(TaskRun, on_delete=models.CASCADE, related_name="logs")
    attempt = models.PositiveSmallIntegerField(default=1)
    container = models.CharField(max_length=255)
    text = models.TextField(blank=True)
    length = models.PositiveIntegerField(default=0, help_text="Characters printed, kept or not")
    last_at = models.DateTimeField(null=True, help_text="The vendor's time stamp of the last line kept")
    truncated = models.BooleanField(default=False)
    complete = models.BooleanField(default=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["task_run", "attempt", "container"], name="steplog_is_unique")
        ]

    def __str__(self) -> str:
        return f"{self.task_run} {self.container}"
