"""The files of scenario D. The values are written as people write them: no two images alike."""

from __future__ import annotations

CHART = """apiVersion: v2
name: shop
version: 2.1.0
"""

VALUES = """# What every environment shares. Versions are in values-<environment>.yaml.
web:
  replicas: 1
  image:
    repository: harbor.centre.com/shop/web
    tag: ""
worker:
  image: {repository: harbor.centre.com/shop/worker, tag: "", digest: ""}
"""

DEV = """web:
  image:
    repository: harbor.centre.com/shop/web
    tag: 1.4.0
worker:
  image: {repository: harbor.centre.com/shop/worker, tag: 1.4.0, digest: "@DIGEST@"}
jobs:
  migrate: {version: 1.4.0}
"""

PROD = """# Production
web:
  replicas: 2
  image:
    repository: harbor.centre.com/shop/web
    tag: "1.4.0"            # the storefront
worker:
  # Pinned: the tag is a label, the digest is what runs.
  image: { repository: harbor.centre.com/shop/worker,  tag: '1.4.0', digest: "@DIGEST@" }
jobs:
  migrate:
    version:   1.4.0        # no tool guesses this one
    retries: 3
"""

# Three workloads of one shape: only the line that names the image matters here.
_WORKLOAD = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop-%(name)s
spec:
  replicas: 1
  selector:
    matchLabels: {app: shop-%(name)s}
  template:
    metadata:
      labels: {app: shop-%(name)s}
    spec:
      containers:
        - name: %(name)s
          image: "%(image)s"
"""

TEMPLATES = {
    "web": _WORKLOAD
    % {"name": "web", "image": "{{ .Values.web.image.repository }}:{{ .Values.web.image.tag }}"},
    "worker": _WORKLOAD
    % {
        "name": "worker",
        "image": "{{ .Values.worker.image.repository }}:{{ .Values.worker.image.tag }}"
        "@{{ .Values.worker.image.digest }}",
    },
    "migrate": _WORKLOAD
    % {"name": "migrate", "image": "harbor.centre.com/shop/migrations:{{ .Values.jobs.migrate.version }}"},
}
