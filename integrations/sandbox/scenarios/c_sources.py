"""The files and the cluster objects of scenario C."""

from __future__ import annotations

MOD = "module centre.com/go-sampleapp\n\ngo 1.25\n"

MAIN = """package main

import (
	"fmt"
	"net/http"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	http.ListenAndServe(":8080", nil)
}
"""

TEST = """package main

import "testing"

func TestNothing(t *testing.T) {}
"""

DOCKERFILE = """FROM golang:1.25 AS build
WORKDIR /src
COPY . .
RUN go build -o /go-sampleapp
FROM gcr.io/distroless/base
COPY --from=build /go-sampleapp /
CMD ["/go-sampleapp"]
"""

POD = """apiVersion: v1
kind: Pod
metadata:
  name: go-sampleapp
  labels: {{app: go-sampleapp}}
spec:
  containers:
  - name: go-sampleapp
    image: harbor.centre.com/ns/go-sampleapp:{tag}
"""

# Two documents in one file, and a comment behind the image: only the tag may change.
DEPLOYMENT = """apiVersion: v1
kind: Service
metadata:
  name: go-sampleapp
spec:
  selector: {{app: go-sampleapp}}
  ports: [{{port: 80, targetPort: 8080}}]
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: go-sampleapp
spec:
  replicas: 2
  selector:
    matchLabels: {{app: go-sampleapp}}
  template:
    metadata:
      labels: {{app: go-sampleapp}}
    spec:
      containers:
      - name: go-sampleapp
        image: harbor.centre.com/ns/go-sampleapp:{tag}  # the commit it was built from
        ports: [{{containerPort: 8080}}]
"""

TEKTON = """
apiVersion: v1
kind: Namespace
metadata: {name: go-sampleapp}
---
apiVersion: tekton.dev/v1
kind: Task
metadata: {name: git-clone, namespace: go-sampleapp}
spec:
  params:
    - {name: url, type: string}
    - {name: revision, type: string, default: ""}
  workspaces: [{name: output}]
  results: [{name: commit}, {name: url}, {name: committer-date}]
  steps:
    - {name: clone, image: "ghcr.io/tektoncd-catalog/git-clone:v1.1.0"}
---
apiVersion: tekton.dev/v1
kind: Task
metadata: {name: go-test, namespace: go-sampleapp}
spec:
  workspaces: [{name: source}]
  steps:
    - name: test
      image: docker.io/library/golang:1.25
      script: |
        #!/bin/sh
        sleep 1
        echo "ok  centre.com/go-sampleapp 0.012s"
---
apiVersion: tekton.dev/v1
kind: Task
metadata: {name: kaniko, namespace: go-sampleapp}
spec:
  params:
    - {name: IMAGE, type: string}
    - {name: EXTRA_ARGS, type: array, default: []}
  workspaces: [{name: source}]
  results: [{name: IMAGE_DIGEST}, {name: IMAGE_URL}]
  steps:
    - {name: build-and-push, image: "gcr.io/kaniko-project/executor:v1.23.2"}
    - {name: write-url, image: "docker.io/library/bash:5.2"}
---
apiVersion: tekton.dev/v1
kind: Task
metadata: {name: update-manifest, namespace: go-sampleapp}
spec:
  params:
    - {name: tag, type: string}
  workspaces: [{name: source}]
  steps:
    - name: sed
      image: docker.io/library/alpine:3.22
      script: |
        #!/bin/sh
        echo "k8s/dev/pod.yml now names $(params.tag)"
---
apiVersion: tekton.dev/v1
kind: Task
metadata: {name: git-push, namespace: go-sampleapp}
spec:
  params:
    - {name: url, type: string}
    - {name: path, type: string}
    - {name: image, type: string}
    - {name: tag, type: string}
  workspaces: [{name: source}]
  steps:
    - {name: push, image: "docker.io/alpine/git:2.49.1"}
---
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: build-and-push, namespace: go-sampleapp}
spec:
  params:
    - {name: repo-url, type: string}
    - {name: revision, type: string}
    - {name: image, type: string, default: harbor.centre.com/ns/go-sampleapp}
  workspaces: [{name: shared}]
  tasks:
    - name: git-clone
      taskRef: {kind: Task, name: git-clone}
      params:
        - {name: url, value: $(params.repo-url)}
        - {name: revision, value: $(params.revision)}
      workspaces: [{name: output, workspace: shared}]
    - name: test
      runAfter: [git-clone]
      taskRef: {kind: Task, name: go-test}
      workspaces: [{name: source, workspace: shared}]
    - name: build
      runAfter: [test]
      taskRef: {kind: Task, name: kaniko}
      params:
        - {name: IMAGE, value: "$(params.image):$(params.revision)"}
        - name: EXTRA_ARGS
          value:
            - --label=org.opencontainers.image.revision=$(tasks.git-clone.results.commit)
      workspaces: [{name: source, workspace: shared}]
    - name: update-manifest
      runAfter: [build]
      taskRef: {kind: Task, name: update-manifest}
      params: [{name: tag, value: $(params.revision)}]
      workspaces: [{name: source, workspace: shared}]
    - name: git-push
      runAfter: [update-manifest]
      taskRef: {kind: Task, name: git-push}
      params:
        - {name: url, value: $(params.repo-url)}
        - {name: path, value: k8s/dev/pod.yml}
        - {name: image, value: $(params.image)}
        - {name: tag, value: $(params.revision)}
      workspaces: [{name: source, workspace: shared}]
  results:
    - {name: commit, type: string, value: $(tasks.git-clone.results.commit)}
    - {name: IMAGE_URL, type: string, value: $(tasks.build.results.IMAGE_URL)}
    - {name: IMAGE_DIGEST, type: string, value: $(tasks.build.results.IMAGE_DIGEST)}
---
apiVersion: triggers.tekton.dev/v1beta1
kind: TriggerBinding
metadata: {name: source-push, namespace: go-sampleapp}
spec:
  params:
    - {name: repo-url, value: $(body.project.git_http_url)}
    - {name: revision, value: $(body.checkout_sha)}
---
apiVersion: triggers.tekton.dev/v1beta1
kind: TriggerTemplate
metadata: {name: build-and-push, namespace: go-sampleapp}
spec:
  params: [{name: repo-url}, {name: revision}]
  resourcetemplates:
    - apiVersion: tekton.dev/v1
      kind: PipelineRun
      metadata: {generateName: build-and-push-}
      spec:
        pipelineRef: {name: build-and-push}
        params:
          - {name: repo-url, value: $(tt.params.repo-url)}
          - {name: revision, value: $(tt.params.revision)}
        workspaces: [{name: shared, emptyDir: {}}]
---
apiVersion: triggers.tekton.dev/v1beta1
kind: EventListener
metadata: {name: go-sampleapp, namespace: go-sampleapp}
spec:
  serviceAccountName: tekton-triggers
  triggers:
    - name: push-to-main
      interceptors:
        - ref: {name: gitlab, kind: ClusterInterceptor}
          params:
            - {name: secretRef, value: {secretName: gitlab-webhook, secretKey: token}}
            - {name: eventTypes, value: ["Push Hook"]}
        - ref: {name: cel, kind: ClusterInterceptor}
          params:
            # Code and manifests share the branch: a commit that only names a build must not start one.
            - name: filter
              value: >-
                body.ref == 'refs/heads/main' && body.checkout_sha != null &&
                !body.commits[0].message.contains('[skip ci]') &&
                !body.commits[0].message.contains('Promotion-Id:')
      bindings: [{ref: source-push}]
      template: {ref: build-and-push}
"""
