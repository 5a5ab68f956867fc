"""OpenID Connect, strictly: django-allauth carries state, PKCE and code, the identity is verified here.

allauth leaves out checks that are optional where the token comes straight from the provider: the signature,
a nonce, that the userinfo is of the same subject, and that the discovered issuer is the configured one
(OpenID Connect Core 1.0 sections 3.1.3.7 and 5.3.2, Discovery 1.0 section 4.3).
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import jwt
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, get_adapter
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.base import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.crypto import constant_time_compare

from promotions.identity.config import SignInProvider
from promotions.secrets import SecretMissing, resolve

# No symmetric ones: a public key taken for a shared secret would let anybody sign.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_LEEWAY = 30
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


def provider_config(provider_id: str) -> SignInProvider | None:
    """Return the provider that the configuration names so."""
    found: tuple[SignInProvider, ...] = settings.SIGN_IN_PROVIDERS
    return next((provider for provider in found if provider.id == provider_id), None)


class StrictAdapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """Talks to one provider and believes nothing of it that is not verified. Raises OAuth2Error."""

    @property
    def config(self) -> SignInProvider:
        found = provider_config(self.provider_id)
        if found is None:
            raise SocialApp.DoesNotExist
        return found

    @property
    def openid_config(self) -> dict[str, Any]:
        if not hasattr(self, "_discovered"):
            found = self._read(f"{self.config.issuer.rstrip('/')}/.well-known/openid-configuration")
            if found.get("issuer") != self.config.issuer:
                raise OAuth2Error("the provider calls itself by another issuer than the configured one")
            if lacking := [name for name in _ENDPOINTS if not isinstance(found.get(name), str)]:
                raise OAuth2Error(f"the provider's configuration lacks {', '.join(lacking)}")
            self._discovered = found
        return self._discovered

    def _read(self, url: str, token: str = "") -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with get_adapter().get_requests_session() as session:
            answer = session.get(url, headers=headers, allow_redirects=False)
            answer.raise_for_status()
            found = answer.json()
        if not isinstance(found, dict):
            raise OAuth2Error("the provider answered something else than an object")
        return found

    def get_callback_url(self, request: HttpRequest, app: object) -> str:
        """One address, whatever host the request was made to."""
        return f"{settings.BASE_URL}{reverse('oidc-callback', args=[self.provider_id])}"

    def complete_login(self, request: HttpRequest, app: SocialApp, token: Any, **kwargs: Any) -> Any:
        claims = self.verified(str(kwargs["response"].get("id_token") or ""))
        userinfo: dict[str, Any] = {}
        if url := self.openid_config.get("userinfo_endpoint"):
            userinfo = self._read(str(url), token.token)
            if userinfo.get("sub") != claims["sub"]:
                raise OAuth2Error("the userinfo is another person's")
        return self.get_provider().sociallogin_from_response(request, {**userinfo, **claims})

    def verified(self, id_token: str) -> dict[str, Any]:
        """Return the claims of an ID token whose every part holds."""
        try:
            header = jwt.get_unverified_header(id_token)
            if header.get("alg") not in ALGORITHMS:
                raise OAuth2Error("the ID token is signed by an algorithm that is not accepted")
            claims = jwt.decode(
                id_token,
                self._key(header.get("kid")),
                algorithms=[str(header["alg"])],
                audience=self.config.client_id,
                issuer=self.config.issuer,
                leeway=_LEEWAY,
                options={"require": ["exp", "iat", "iss", "sub", "aud"]},
            )
        except jwt.PyJWTError as error:
            raise OAuth2Error(f"the ID token does not hold: {error}") from error
        if claims.get("azp", self.config.client_id) != self.config.client_id:
            raise OAuth2Error("the ID token was made for another client")
        return dict(claims)

    def _key(self, kid: object) -> jwt.PyJWK:
        keys = jwt.PyJWKSet.from_dict(self._read(self.openid_config["jwks_uri"])).keys
        fitting = [key for key in keys if key.public_key_use in (None, "sig") and kid in (None, key.key_id)]
        if len(fitting) != 1:
            raise OAuth2Error("the provider has no single key of that name")
        return fitting[0]


class StrictProvider(OpenIDConnectProvider):  # type: ignore[misc]
    """A provider as configured; who somebody is there, is issuer and subject together."""

    oauth2_adapter_class = StrictAdapter
    pkce_enabled_default = True

    def extract_uid(self, data: dict[str, Any]) -> str:
        return hashlib.sha256(f"{data['iss']}\n{data['sub']}".encode()).hexdigest()

    def extract_email_addresses(self, data: dict[str, Any]) -> list[Any]:
        """None: an address neither names nor finds anybody here."""
        return []


class ProviderRegistry(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """allauth's view of our configuration file, and where it hands over a verified identity."""

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> Any:
        return [_app(config) for config in settings.SIGN_IN_PROVIDERS if provider in (None, config.id)]

    def get_provider(
        self, request: HttpRequest, provider: str, client_id: str | None = None
    ) -> StrictProvider:
        return StrictProvider(request, app=self.get_app(request, provider=provider))

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Take over: what allauth would do from here on (sign-up pages, mail) is not wanted."""
        from promotions.identity.people import sign_in_identity

        claims = sociallogin.account.extra_data
        nonce = str(sociallogin.state.get("nonce") or "")
        if not nonce or not constant_time_compare(nonce, str(claims.get("nonce") or "")):
            raise OAuth2Error("the ID token answers another request")
        config = provider_config(sociallogin.account.provider)
        assert config is not None
        raise ImmediateHttpResponse(
            sign_in_identity(request, config, sociallogin.account, str(sociallogin.state.get("next") or ""))
        )

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: Any = None,
    ) -> None:
        from promotions.identity.people import refused

        raise ImmediateHttpResponse(refused(request, provider.name, str(error or ""), exception))


def _app(config: SignInProvider) -> SocialApp:
    app = SocialApp(provider="openid_connect", provider_id=config.id, name=config.name)
    app.client_id = config.client_id
    app.secret = resolve(config.client_secret)
    app.settings = {"scope": list(config.scopes), "server_url": config.issuer}
    return app


def begin(request: HttpRequest, config: SignInProvider, *, then: str) -> HttpResponse:
    """Send the visitor to the provider; `then` is where they go afterwards, on this site.

    Raises OAuth2Error, requests' RequestException and SecretMissing.
    """
    provider = get_adapter().get_provider(request, config.id)
    nonce = secrets.token_urlsafe(24)
    answer = provider.redirect(
        request, AuthProcess.LOGIN, next_url=then, auth_params={"nonce": nonce}, nonce=nonce
    )
    assert isinstance(answer, HttpResponse)
    return answer


__all__ = ["OAuth2Error", "SecretMissing", "StrictAdapter", "begin", "provider_config"]
