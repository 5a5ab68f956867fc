"""Every address of the site."""

from __future__ import annotations

from importlib.util import find_spec

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.i18n import set_language

from promotions.views import (
    access,
    account,
    applications,
    approvals,
    audit,
    automation,
    decisions,
    deliveries,
    emergency,
    governance,
    health,
    matrix,
    notifications,
    promoting,
    promotions,
    releases,
    runs,
    session,
    upstreams,
)

_one = "promotions/<int:promotion_id>/"
_whole = "releases/<int:release_id>/"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", matrix.matrix, name="matrix"),
    path("sign-in/", session.sign_in, name="sign-in"),
    path("sign-in/<slug:provider_id>/", session.oidc_begin, name="oidc-begin"),
    path("sign-in/<slug:provider_id>/callback/", session.oidc_callback, name="oidc-callback"),
    path("sign-out/", session.sign_out, name="sign-out"),
    path("applications/<slug:slug>/", applications.application, name="application"),
    path("applications/<slug:slug>/<slug:environment>/access/", access.access, name="stage-access"),
    path("applications/<slug:slug>/<slug:environment>/pin/", automation.pin, name="stage-pin"),
    path(
        "applications/<slug:slug>/<slug:environment>/candidates/", applications.candidates, name="candidates"
    ),
    path(
        "applications/<slug:slug>/<slug:environment>/promote/<int:version_id>/",
        promoting.promote,
        name="promote",
    ),
    path(
        "applications/<slug:slug>/<slug:environment>/promote/<int:version_id>/break-glass/",
        emergency.break_for_request,
        name="promote-break-glass",
    ),
    path(
        "applications/<slug:slug>/<slug:environment>/roll-back/<int:version_id>/",
        promoting.roll_back_to,
        name="stage-roll-back",
    ),
    path(
        "applications/<slug:slug>/<slug:environment>/history/",
        applications.stage_history,
        name="stage-history",
    ),
    path("approvals/", approvals.approvals, name="approvals"),
    path("approvals/list/", approvals.approvals_list, name="approvals-list"),
    path("approvals/count/", approvals.approvals_count, name="approvals-count"),
    path("promotions/", promotions.promotions, name="promotions"),
    path(_one, promotions.promotion, name="promotion"),
    path(f"{_one}actions/", promotions.promotion_actions, name="promotion-actions"),
    path(f"{_one}approve/", decisions.approve, name="promotion-approve"),
    path(f"{_one}reject/", decisions.reject, name="promotion-reject"),
    path(f"{_one}abort/", decisions.abort, name="promotion-abort"),
    path(f"{_one}retry/", decisions.retry, name="promotion-retry"),
    path(f"{_one}roll-back/", promoting.roll_back, name="promotion-roll-back"),
    path(f"{_one}freeze-exception/", decisions.freeze_exception, name="promotion-freeze-exception"),
    path("releases/", releases.releases, name="releases"),
    path("releases/new/", releases.new_release, name="release-new"),
    path(_whole, releases.release, name="release"),
    path(f"{_whole}state/", releases.release_state, name="release-state"),
    path(f"{_whole}approve/", releases.approve, name="release-approve"),
    path(f"{_whole}reject/", releases.reject, name="release-reject"),
    path(f"{_whole}freeze-exception/", releases.freeze_exception, name="release-freeze-exception"),
    path(f"{_whole}abort/", releases.abort, name="release-abort"),
    path(f"{_whole}retry/", releases.retry, name="release-retry"),
    path(f"{_whole}roll-back/", releases.roll_back, name="release-roll-back"),
    path(f"{_one}break-glass/", emergency.break_for_promotion, name="promotion-break-glass"),
    path("reviews/", emergency.reviews, name="reviews"),
    path("reviews/<int:review_id>/", emergency.close_review, name="review-close"),
    path("locks/", governance.locks, name="locks"),
    path("locks/set/", governance.lock, name="lock"),
    path("locks/<int:lock_id>/lift/", governance.lift, name="lock-lift"),
    path("versions/<int:version_id>/block/", governance.block, name="version-block"),
    path("runs/<int:run_id>/", runs.run, name="run"),
    path("runs/<int:run_id>/logs/<int:log_id>/", runs.run_log, name="run-log"),
    path("deliveries/", deliveries.deliveries, name="deliveries"),
    path("deliveries/<int:delivery_id>/", deliveries.delivery, name="delivery"),
    path("upstreams/", upstreams.upstreams, name="upstreams"),
    path("account/", account.account, name="account"),
    path("account/notifications/", notifications.notifications, name="notifications"),
    path("account/tokens/", account.make_token, name="token-make"),
    path("account/tokens/<int:token_id>/revoke/", account.revoke, name="token-revoke"),
    path("account/sign-out-everywhere/", account.sign_out_everywhere, name="sign-out-everywhere"),
    path("service-tokens/", account.service_tokens, name="service-tokens"),
    path("service-tokens/new/", account.make_service_token, name="service-token-make"),
    path("service-tokens/<int:token_id>/revoke/", account.revoke_service, name="service-token-revoke"),
    path("audit/", audit.audit, name="audit"),
    path("audit/<int:entry_id>/", audit.audit_entry, name="audit-entry"),
    path("audit/export/<slug:kind>/", audit.audit_export, name="audit-export"),
    path("language/", set_language, name="set-language"),
    path("healthz", health.healthz, name="healthz"),
    path("admin/", admin.site.urls),
]

if find_spec("promotions.api") is not None:
    urlpatterns.append(path("api/", include("promotions.api.urls")))
