"""The sandbox's own invented secrets and fixed names. None of them opens anything real."""

from __future__ import annotations

GITLAB_TOKEN = "glpat-sandbox-slipway-0001"
# Scope read_api alone: every write answers 403 insufficient_scope.
GITLAB_READER_TOKEN = "glpat-sandbox-reader-0002"
# A developer's own token: protected branches refuse its pushes and merges.
GITLAB_PERSON_TOKEN = "glpat-sandbox-person-0003"
GITLAB_HOOK_TOKEN = "sandbox-gitlab-hook-token"
GITLAB_SIGNING_TOKEN = "whsec_c2FuZGJveC1zaWduaW5nLWtleS0wMTIzNDU2Nzg5YWI="
KUBERNETES_TOKEN = "sandbox-kubernetes-token"
# Argo CD treats a bearer value that is not JWT-shaped as absent (reference argocd-api.md section 1).
ARGOCD_TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzbGlwd2F5OmFwaUtleSJ9.c2FuZGJveA"
# May read Applications and nothing else: a sync answers 403.
ARGOCD_READER_TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwcm9qOmRlZmF1bHQ6cmVhZGVyIn0.c2FuZGJveA"
ARGOCD_USER = "admin"
ARGOCD_PASSWORD = "sandbox-argocd-password"
HARBOR_USER = "robot$slipway"
HARBOR_PASSWORD = "sandbox-harbor-password"
HARBOR_HOOK_AUTH = "Bearer sandbox-harbor-hook"

# Where the vendors send their webhooks: {hook base}/webhooks/<vendor>/<source id>.
GITLAB_SOURCE = "6b1f0a52-6c53-4d5e-9f0e-7d7b0c5a1a01"
HARBOR_SOURCE = "6b1f0a52-6c53-4d5e-9f0e-7d7b0c5a1a02"
DISTRIBUTION_SOURCE = "6b1f0a52-6c53-4d5e-9f0e-7d7b0c5a1a03"
