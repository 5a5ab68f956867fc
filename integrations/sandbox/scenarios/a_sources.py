"""The files of scenario A: a small Flask application, its manifests, and the work still to come."""

from __future__ import annotations

README = """# flask-k8s-example

A greeting service. Pushes to `dev` are built and brought to the dev cluster; a tag `vX.Y.Z` on `main`
builds the production image of that version.
"""

APP_FIRST = '''"""A greeting service."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def index() -> str:
    return "Hello from flask-k8s-example"
'''

APP_HEALTH = '''"""A greeting service."""

import os

from flask import Flask, jsonify

app = Flask(__name__)
GREETING = os.environ.get("GREETING", "Hello")


@app.get("/")
def index() -> str:
    return f"{GREETING} from flask-k8s-example"


@app.get("/healthz")
def healthz():
    return jsonify(status="ok")
'''

REQUIREMENTS = "flask==3.1.0\ngunicorn==23.0.0\n"

DOCKERFILE = """FROM python:3.13-slim
WORKDIR /srv
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
EXPOSE 8080
CMD ["gunicorn", "--config", "gunicorn.conf.py", "app:app"]
"""

GUNICORN = 'bind = "0.0.0.0:8080"\nworkers = 2\naccesslog = "-"\n'

TESTS = """from app import app


def test_the_service_says_it_is_healthy():
    assert app.test_client().get("/healthz").json == {"status": "ok"}
"""

BASE_DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: flask-k8s-example
  labels:
    app: flask-k8s-example
spec:
  replicas: 1
  selector:
    matchLabels:
      app: flask-k8s-example
  template:
    metadata:
      labels:
        app: flask-k8s-example
    spec:
      containers:
        - name: flask
          image: harbor.centre.com/k8s/flask-k8s-example   # the overlays say which version
          ports:
            - containerPort: 8080
          readinessProbe:
            httpGet: {path: /healthz, port: 8080}
            periodSeconds: 5
"""

BASE_SERVICE = """apiVersion: v1
kind: Service
metadata:
  name: flask-k8s-example
spec:
  selector:
    app: flask-k8s-example
  ports:
    - port: 80
      targetPort: 8080
"""

BASE_KUSTOMIZATION = """apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - deployment.yml
  - service.yml
"""

# Odd but valid on purpose: comments, several quote styles, uneven blanks, a trailing blank line.
DEV_DEPLOYMENT = """# dev follows the moving tag: the digest tells builds apart
apiVersion: apps/v1
kind: Deployment
metadata:
  name: flask-k8s-example
spec:
  template:
    spec:
      containers:
      - name: flask
        image: harbor.centre.com/k8s/flask-k8s-example-dev:latest
        imagePullPolicy: Always
        env:
        - { name: GREETING, value: 'Hello, dev' }
        - name:  LOG_LEVEL
          value: "debug"
"""

PROD_DEPLOYMENT = """---
# Production. Change the version through Slipway, nothing else by hand.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: flask-k8s-example
spec:
  replicas:   3      # one per zone
  template:
    spec:
      containers:
      - name: "flask"
        # the Git tag without its v
        image: harbor.centre.com/k8s/flask-k8s-example:1.0.0
        env:
        - name: GREETING
          value: 'Hello'        # single quotes are right here
        - {name: LOG_LEVEL,   value: "warning"}
        - name: "FEATURE_FLAGS"
          value: "on"           # quoted, or YAML would read a boolean
        resources:
          requests: { cpu: 100m, memory:  "128Mi" }

"""

OVERLAY_KUSTOMIZATION = """apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: flask-app
resources:
  - ../../base
patches:
  - path: deployment.yml
"""

MANIFEST_README = """# flask-k8s-manifest

`base/` and one overlay per cluster. Changes go to `dev`, then by merge request to `main`.
"""

# What the next pushes to dev bring: author, message, files. After the last one small notes follow.
NEXT_WORK: tuple[tuple[str, str, dict[str, str]], ...] = (
    (
        "aiko",
        "Say which pod answered\n\nHelps to see the rollout from outside.\n",
        {
            "app.py": APP_HEALTH.replace(
                'from flask-k8s-example"', "from {os.environ.get('HOSTNAME', 'here')}\""
            )
        },
    ),
    (
        "daniel",
        "Answer /version with the build's commit\n",
        {
            "version.py": 'import os\n\nCOMMIT = os.environ.get("GIT_COMMIT", "unknown")\n',
            "Dockerfile": DOCKERFILE.replace(
                "EXPOSE 8080\n", "ARG GIT_COMMIT\nENV GIT_COMMIT=$GIT_COMMIT\nEXPOSE 8080\n"
            ),
        },
    ),
    (
        "priya",
        "Log requests as JSON\n\nThe log search could not split the old lines.\n",
        {"gunicorn.conf.py": GUNICORN + 'access_log_format = \'{"path": "%(U)s", "status": %(s)s}\'\n'},
    ),
    (
        "tomas",
        "Raise the number of workers to four\n",
        {"gunicorn.conf.py": GUNICORN.replace("workers = 2", "workers = 4")},
    ),
)
