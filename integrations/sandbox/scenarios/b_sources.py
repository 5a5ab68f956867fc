"""The files of scenario B."""

from __future__ import annotations

APP = """const http = require("http");
http.createServer((_, answer) => answer.end("Hello from gitops-demo-app\\n")).listen(8080);
"""

DOCKERFILE = """FROM node:24-alpine
COPY app.js /srv/app.js
CMD ["node", "/srv/app.js"]
"""

CI = """stages: [build, update_manifest, open_MR]

build:
  stage: build
  script:
    - docker build -t centre/gitops-demo-app:$CI_COMMIT_REF_SLUG-$CI_COMMIT_SHORT_SHA .
    - docker push centre/gitops-demo-app:$CI_COMMIT_REF_SLUG-$CI_COMMIT_SHORT_SHA

# Slipway writes the chart and opens the merge request; the stages stay for the teams that lack it.
update_manifest:
  stage: update_manifest
  script: [echo "left to Slipway"]

open_MR:
  stage: open_MR
  script: [echo "left to Slipway"]
"""

CHART = """apiVersion: v2
name: gitops-demo-chart
description: A Helm chart   # the spaces are ours
type: application
version: 0.3.0

# Selects the image's tag: <branch>-<short sha>.
appVersion: "{tag}"
"""

VALUES = """replicaCount: 2
image:
  repository: docker.io/centre/gitops-demo-app
  pullPolicy: IfNotPresent
  # No tag: the chart's appVersion decides.
service: {port: 80}
"""

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicaCount }}
  selector:
    matchLabels: {app: webapp}
  template:
    metadata:
      labels: {app: webapp}
    spec:
      containers:
        - name: webapp
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
          imagePullPolicy: {{ .Values.image.pullPolicy }}
"""

SERVICE = """apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
spec:
  selector: {app: webapp}
  ports:
    - port: {{ .Values.service.port }}
"""
