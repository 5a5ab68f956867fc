"""The files of scenario E."""

from __future__ import annotations

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: billing
spec:
  replicas: 1
  selector:
    matchLabels: {app: billing}
  template:
    metadata:
      labels: {app: billing}
    spec:
      containers:
        - name: billing
          image: harbor.centre.com/billing/billing
"""

BASE = """apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [deployment.yaml]
"""

DEV = """apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../base]
"""

# What the Image Updater writes with write-back-method git: an override that Argo CD merges in.
UPDATER = """kustomize:
  images:
  - harbor.centre.com/billing/billing:2.0.0
"""

PROD = """apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
- ../../base
patches:
- path: replicas.yaml
images:
- name: harbor.centre.com/billing/billing
  newTag: "2.0.0" # by Slipway, as a rule
"""

REPLICAS = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: billing
spec:
  replicas: 2
"""
