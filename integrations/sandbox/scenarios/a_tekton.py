"""Scenario A's objects in the cluster kube-argo, as the team would keep them in a repository."""

from __future__ import annotations

TASKS = """
apiVersion: v1
kind: Namespace
metadata: {name: flask-app}
---
apiVersion: tekton.dev/v1
kind: Task
metadata:
  name: git-clone
  namespace: flask-app
  labels: {app.kubernetes.io/version: "0.10"}
spec:
  params:
    - {name: url, type: string}
    - {name: revision, type: string, default: ""}
    - {name: depth, type: string, default: "1"}
  workspaces: [{name: output}]
  results: [{name: commit}, {name: url}, {name: committer-date}]
  steps:
    - {name: clone, image: "ghcr.io/tektoncd-catalog/git-clone:v1.1.0"}
---
apiVersion: tekton.dev/v1
kind: Task
metadata:
  name: kaniko
  namespace: flask-app
  labels: {app.kubernetes.io/version: "0.7"}
spec:
  params:
    - {name: IMAGE, type: string}
    - {name: DOCKERFILE, type: string, default: ./Dockerfile}
    - {name: CONTEXT, type: string, default: ./}
    - {name: EXTRA_ARGS, type: array, default: []}
  workspaces: [{name: source}]
  results: [{name: IMAGE_DIGEST}, {name: IMAGE_URL}]
  steps:
    - {name: build-and-push, image: "gcr.io/kaniko-project/executor:v1.23.2"}
    - {name: write-url, image: "docker.io/library/bash:5.2"}
---
apiVersion: tekton.dev/v1
kind: Task
metadata: {name: argocd-sync, namespace: flask-app}
spec:
  params:
    - {name: application-name, type: string}
  steps:
    - {name: sync, image: "quay.io/argoproj/argocd:v3.1.0"}
---
apiVersion: tekton.dev/v1
kind: Task
metadata: {name: smoke-test, namespace: flask-app}
spec:
  params:
    - {name: application, type: string}
    - {name: version, type: string}
    - {name: commit, type: string, default: ""}
  results: [{name: summary}]
  steps:
    - {name: smoke, image: "docker.io/library/python:3.13-slim"}
---
apiVersion: tekton.dev/v1
kind: Task
metadata: {name: report, namespace: flask-app}
spec:
  params:
    - {name: application, type: string}
    - {name: version, type: string}
    - {name: state, type: string}
  steps:
    - name: report
      image: docker.io/library/alpine:3.22
      script: |
        #!/bin/sh
        sleep 1
        echo "$(params.application) $(params.version): $(params.state)"
"""

# Typed results (IMAGE_URL, IMAGE_DIGEST) are how builds are recognised (tekton-api.md section 8).
PIPELINES = """
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: build-dev-image, namespace: flask-app}
spec:
  params:
    - {name: repo-url, type: string}
    - {name: revision, type: string, default: dev}
    - {name: image, type: string, default: "harbor.centre.com/k8s/flask-k8s-example-dev:latest"}
    - {name: application, type: string, default: flask-dev}
  workspaces: [{name: shared}]
  tasks:
    - name: git-clone
      taskRef: {kind: Task, name: git-clone}
      params:
        - {name: url, value: $(params.repo-url)}
        - {name: revision, value: $(params.revision)}
      workspaces: [{name: output, workspace: shared}]
    - name: build
      runAfter: [git-clone]
      taskRef: {kind: Task, name: kaniko}
      params:
        - {name: IMAGE, value: $(params.image)}
        - name: EXTRA_ARGS
          value:
            - --label=org.opencontainers.image.revision=$(tasks.git-clone.results.commit)
            - --label=org.opencontainers.image.source=$(params.repo-url)
      workspaces: [{name: source, workspace: shared}]
    - name: deploy
      runAfter: [build]
      taskRef: {kind: Task, name: argocd-sync}
      params:
        - {name: application-name, value: $(params.application)}
  results:
    - {name: commit, type: string, value: $(tasks.git-clone.results.commit)}
    - {name: IMAGE_URL, type: string, value: $(tasks.build.results.IMAGE_URL)}
    - {name: IMAGE_DIGEST, type: string, value: $(tasks.build.results.IMAGE_DIGEST)}
---
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: build-prod-image, namespace: flask-app}
spec:
  params:
    - {name: repo-url, type: string}
    - {name: revision, type: string}
    - {name: image, type: string}
  workspaces: [{name: shared}]
  tasks:
    - name: git-clone
      taskRef: {kind: Task, name: git-clone}
      params:
        - {name: url, value: $(params.repo-url)}
        - {name: revision, value: $(params.revision)}
      workspaces: [{name: output, workspace: shared}]
    - name: build
      runAfter: [git-clone]
      taskRef: {kind: Task, name: kaniko}
      params:
        - {name: IMAGE, value: $(params.image)}
        - name: EXTRA_ARGS
          value:
            - --label=org.opencontainers.image.revision=$(tasks.git-clone.results.commit)
            - --label=org.opencontainers.image.source=$(params.repo-url)
      workspaces: [{name: source, workspace: shared}]
  results:
    - {name: commit, type: string, value: $(tasks.git-clone.results.commit)}
    - {name: IMAGE_URL, type: string, value: $(tasks.build.results.IMAGE_URL)}
    - {name: IMAGE_DIGEST, type: string, value: $(tasks.build.results.IMAGE_DIGEST)}
---
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: integration-test, namespace: flask-app}
spec:
  params:
    - {name: application, type: string}
    - {name: version, type: string}
    - {name: commit, type: string, default: ""}
  tasks:
    - name: smoke
      taskRef: {kind: Task, name: smoke-test}
      params:
        - {name: application, value: $(params.application)}
        - {name: version, value: $(params.version)}
        - {name: commit, value: $(params.commit)}
  finally:
    - name: report
      taskRef: {kind: Task, name: report}
      params:
        - {name: application, value: $(params.application)}
        - {name: version, value: $(params.version)}
        - {name: state, value: $(tasks.status)}
  results:
    - {name: summary, type: string, value: $(tasks.smoke.results.summary)}
"""

# Filters compare checkout_sha with null: a deleted branch is a push as well.
TRIGGERS = """
apiVersion: triggers.tekton.dev/v1beta1
kind: TriggerBinding
metadata: {name: source-push, namespace: flask-app}
spec:
  params:
    - {name: repo-url, value: $(body.project.git_http_url)}
    - {name: revision, value: $(body.checkout_sha)}
---
apiVersion: triggers.tekton.dev/v1beta1
kind: TriggerTemplate
metadata: {name: build-dev-image, namespace: flask-app}
spec:
  params: [{name: repo-url}, {name: revision}]
  resourcetemplates:
    - apiVersion: tekton.dev/v1
      kind: PipelineRun
      metadata: {generateName: build-dev-image-}
      spec:
        pipelineRef: {name: build-dev-image}
        params:
          - {name: repo-url, value: $(tt.params.repo-url)}
          - {name: revision, value: $(tt.params.revision)}
        workspaces: [{name: shared, emptyDir: {}}]
---
apiVersion: triggers.tekton.dev/v1beta1
kind: EventListener
metadata: {name: flask-app-dev, namespace: flask-app}
spec:
  serviceAccountName: tekton-triggers
  triggers:
    - name: push-to-dev
      interceptors:
        - ref: {name: gitlab, kind: ClusterInterceptor}
          params:
            - {name: secretRef, value: {secretName: gitlab-webhook, secretKey: token}}
            - {name: eventTypes, value: ["Push Hook"]}
        - ref: {name: cel, kind: ClusterInterceptor}
          params:
            - {name: filter, value: "body.ref == 'refs/heads/dev' && body.checkout_sha != null"}
      bindings: [{ref: source-push}]
      template: {ref: build-dev-image}
---
apiVersion: triggers.tekton.dev/v1beta1
kind: TriggerTemplate
metadata: {name: build-prod-image, namespace: flask-app}
spec:
  params: [{name: repo-url}, {name: revision}, {name: version}]
  resourcetemplates:
    - apiVersion: tekton.dev/v1
      kind: PipelineRun
      metadata: {generateName: build-prod-image-}
      spec:
        pipelineRef: {name: build-prod-image}
        params:
          - {name: repo-url, value: $(tt.params.repo-url)}
          - {name: revision, value: $(tt.params.revision)}
          - {name: image, value: "harbor.centre.com/k8s/flask-k8s-example:$(tt.params.version)"}
        workspaces: [{name: shared, emptyDir: {}}]
---
apiVersion: triggers.tekton.dev/v1beta1
kind: EventListener
metadata: {name: flask-app-prod, namespace: flask-app}
spec:
  serviceAccountName: tekton-triggers
  triggers:
    - name: version-tag
      interceptors:
        - ref: {name: gitlab, kind: ClusterInterceptor}
          params:
            - {name: secretRef, value: {secretName: gitlab-webhook, secretKey: token}}
            - {name: eventTypes, value: ["Tag Push Hook"]}
        - ref: {name: cel, kind: ClusterInterceptor}
          params:
            - {name: filter, value: "body.ref.startsWith('refs/tags/v') && body.checkout_sha != null"}
            - name: overlays
              value: [{key: version, expression: "body.ref.replace('refs/tags/v', '')"}]
      bindings:
        - {ref: source-push}
        - {name: version, value: $(extensions.version)}
      template: {ref: build-prod-image}
---
apiVersion: triggers.tekton.dev/v1beta1
kind: TriggerTemplate
metadata: {name: sync-production, namespace: flask-app}
spec:
  resourcetemplates:
    - apiVersion: tekton.dev/v1
      kind: TaskRun
      metadata: {generateName: argocd-sync-}
      spec:
        taskRef: {kind: Task, name: argocd-sync}
        params: [{name: application-name, value: flask-prod}]
---
apiVersion: triggers.tekton.dev/v1beta1
kind: EventListener
metadata: {name: merge-manifest, namespace: flask-app}
spec:
  serviceAccountName: tekton-triggers
  triggers:
    - name: merged-into-main
      interceptors:
        - ref: {name: gitlab, kind: ClusterInterceptor}
          params:
            - {name: secretRef, value: {secretName: gitlab-webhook, secretKey: token}}
            - {name: eventTypes, value: ["Merge Request Hook"]}
        - ref: {name: cel, kind: ClusterInterceptor}
          params:
            - name: filter
              value: >-
                body.object_attributes.action == 'merge' && body.object_attributes.target_branch == 'main'
      template: {ref: sync-production}
"""
