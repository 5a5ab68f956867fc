"""Django's settings. Everything that differs between installations comes from the environment."""

from __future__ import annotations

import sys
from pathlib import Path

from promotions import environ, log
from promotions.bootstrap.postgres import database_url

ROOT = Path(__file__).resolve().parents[1]
DATA_DIR = Path(environ.text("SLIPWAY_DATA_DIR", str(ROOT / ".data")))

DEBUG = environ.flag("DEBUG", default=False)
SECRET_KEY = environ.secret_key()
BASE_URL = environ.base_url("http://127.0.0.1:8000")
ALLOWED_HOSTS = environ.words("ALLOWED_HOSTS")

INSTALLED_APPS = [
    "promotions.adminconfig.SlipwayAdminConfig",
    "allauth.account",
    "allauth.socialaccount",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "procrastinate.contrib.django",
    "promotions",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "promotions.middleware.content_security_policy",
    "promotions.middleware.origin",
    "promotions.middleware.looking",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "promotions.urls"
ASGI_APPLICATION = "promotions.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
            ],
        },
    },
]

# The embedded server's address is known before it runs, so every command of manage.py finds it.
DATABASES = {"default": environ.database(environ.secret("DATABASE_URL") or database_url(DATA_DIR))}
if environ.flag("DATABASE_POOL", default=True):
    # Without a pool Django under ASGI opens a connection per request (reference measurements.md, web).
    # A pool that gives up soon asks again at the next need; else its pauses double up to minutes.
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 0,
        "max_size": 16,
        "timeout": 10,
        "reconnect_timeout": 1,
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
SIGN_IN_PROVIDERS = environ.sign_in_providers()
# Of allauth only the protocol is used: no pages of its own, no mail, no look-up by address, no tokens kept.
SOCIALACCOUNT_ADAPTER = "promotions.identity.oidc.ProviderRegistry"
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_EMAIL_VERIFICATION = ACCOUNT_EMAIL_VERIFICATION = "none"
SOCIALACCOUNT_REQUESTS_TIMEOUT = 10
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ja", "日本語")]
LOCALE_PATHS = [ROOT / "locale"]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [ROOT / "static"]
# Files are served from where they are unless `collectstatic` has been run (container images do).
COLLECTED = (ROOT / "staticfiles" / "staticfiles.json").exists() or "collectstatic" in sys.argv
STATIC_ROOT = ROOT / "staticfiles" if COLLECTED else None
WHITENOISE_USE_FINDERS = not COLLECTED
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if COLLECTED
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# Cookies travel only over TLS where people reach Slipway over TLS.
SECURE = BASE_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SESSION_ENGINE = "promotions.sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_TRUSTED_ORIGINS = environ.trusted_origins("CSRF_TRUSTED_ORIGINS", BASE_URL)
# Only a proxy that always sets the header may be believed; nothing is assumed of it.
if environ.flag("TRUST_FORWARDED_PROTO", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "promotions.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "promotions.api.scopes.TokenScopes",
    ],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "promotions.api.querying.Pages",
    "EXCEPTION_HANDLER": "promotions.api.errors.handle",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Slipway",
    "VERSION": "0.1.0",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {
        "PromotionStatus": "promotions.choices.PromotionStatus",
        "StepStatus": "promotions.choices.StepStatus",
        "CheckState": "promotions.choices.CheckState",
        "RunStatus": "promotions.choices.RunStatus",
        "UpstreamState": "promotions.choices.UpstreamState",
        "DeliveryOutcome": "promotions.choices.DeliveryOutcome",
    },
}

PROCRASTINATE_IMPORT_PATHS = ["promotions.jobs"]
# A killed worker's jobs are found after this many seconds: its locks must not hold promotions for long.
PROCRASTINATE_WORKER_DEFAULTS = {
    "update_heartbeat_interval": 1.0,
    "stalled_worker_timeout": 5.0,
    "fetch_job_polling_interval": 1.0,
    "concurrency": 8,
}

# How long an application must stay Degraded before a promotion fails: it flaps in ordinary rollouts
# (reference known-pitfalls.md 14).
DEGRADED_GRACE = environ.seconds("DEGRADED_GRACE_SECONDS", default=90)

# So long after its time a scheduled promotion still runs by itself: Slipway may have been restarting.
SCHEDULE_GRACE = environ.seconds("SCHEDULE_GRACE_SECONDS", default=3600)
# How long an upstream must be out of reach before people are told.
UNREACHABLE_AFTER = environ.seconds("UNREACHABLE_AFTER_SECONDS", default=600)

LOGGING_CONFIG = None
log.configure(json=environ.flag("LOG_JSON", default=False), level=environ.text("LOG_LEVEL", "INFO"))
