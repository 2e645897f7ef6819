"""The providers that are known, as data. A row says what its sources say; what none says is left out."""

from dataclasses import replace

from gateway.maildrop import OnDelete
from gateway.oauth.provider import Provider
from gateway.ports import Renewal

_THUNDERBIRD = "https://searchfox.org/comm-central/source/mailnews/base/src/OAuth2Providers.sys.mjs"
_SOVEREIGN = "https://www.powershellgallery.com/packages/Mail.Protocols"  # servers and scopes of national clouds
_MICROSOFT_IMAP = (
    "https://learn.microsoft.com/exchange/client-developer/legacy-protocols/"
    "how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth"
)
_BY_APPROVAL = "it gives the scope for mail to applications that it has approved; ask it for that first"

_MICROSOFT = Provider(
    "microsoft365",
    "Microsoft 365",
    "imaps://outlook.office365.com",
    authorization="https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
    token="https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
    device="https://login.microsoftonline.com/{tenant}/oauth2/v2.0/devicecode",
    scopes=("https://outlook.office.com/IMAP.AccessAsUser.All", "offline_access"),
    application_scopes=("https://outlook.office365.com/.default",),
    renewals=frozenset({Renewal.REFRESH, Renewal.CLIENT}),
    tenant="common",
    loopback="localhost",  # its port is free, that of 127.0.0.1 is not
    domains=("outlook.com", "hotmail.com", "live.com", "msn.com"),
    exchangers=("protection.outlook.com", "mx.microsoft"),
    registered_at="https://entra.microsoft.com/",
    sources=(
        _MICROSOFT_IMAP,
        "https://learn.microsoft.com/entra/identity-platform/v2-oauth2-device-code",
        "https://learn.microsoft.com/entra/identity-platform/reply-url#localhost-exceptions",
    ),
)

_GOOGLE = Provider(
    "google",
    "Google",
    "imaps://imap.gmail.com",
    authorization="https://accounts.google.com/o/oauth2/v2/auth",
    token="https://oauth2.googleapis.com/token",
    revocation="https://oauth2.googleapis.com/revoke",
    issuer="https://accounts.google.com",
    # Its device flow gives no scope for mail, so there is no device endpoint here.
    scopes=("https://mail.google.com/",),
    asked=(("access_type", "offline"), ("prompt", "consent")),  # else a second sign-in gives no refresh token
    renewals=frozenset({Renewal.REFRESH, Renewal.ASSERTION}),
    on_delete=OnDelete.TRASH,  # EXPUNGE archives there, as its users have it set by default
    connections=15,
    domains=("gmail.com", "googlemail.com"),
    exchangers=("l.google.com", "smtp.google.com", "googlemail.com"),
    registered_at="https://console.cloud.google.com/auth/clients",
    remark="while the application is in testing, a sign-in lasts seven days: publish it, or make it internal",
    sources=(
        "https://developers.google.com/workspace/gmail/imap/xoauth2-protocol",
        "https://developers.google.com/identity/protocols/oauth2/web-server",
        "https://developers.google.com/identity/protocols/oauth2/native-app",
        "https://developers.google.com/identity/protocols/oauth2/limited-input-device#allowedscopes",
        "https://developers.google.com/identity/protocols/oauth2/service-account",
        "https://support.google.com/mail/answer/7126229",
    ),
)

_YAHOO = Provider(
    "yahoo",
    "Yahoo",
    "imaps://imap.mail.yahoo.com",
    authorization="https://api.login.yahoo.com/oauth2/request_auth",
    token="https://api.login.yahoo.com/oauth2/get_token",
    revocation="https://api.login.yahoo.com/oauth2/revoke",
    scopes=("mail-w",),
    loopback="",
    domains=("yahoo.com", "ymail.com", "rocketmail.com"),
    exchangers=("yahoodns.net",),
    registered_at="https://developer.yahoo.com/apps/",
    remark=_BY_APPROVAL,
    sources=(
        _THUNDERBIRD,
        "https://developer.yahoo.com/oauth2/guide/",
        "https://api.login.yahoo.com/.well-known/openid-configuration",
    ),
)

_ROWS = (
    _MICROSOFT,
    replace(
        _MICROSOFT,
        name="microsoft365-us",
        title="Microsoft 365 GCC High",
        upstream="imaps://outlook.office365.us",
        authorization="https://login.microsoftonline.us/{tenant}/oauth2/v2.0/authorize",
        token="https://login.microsoftonline.us/{tenant}/oauth2/v2.0/token",
        device="https://login.microsoftonline.us/{tenant}/oauth2/v2.0/devicecode",
        scopes=("https://outlook.office365.us/IMAP.AccessAsUser.All", "offline_access"),
        application_scopes=("https://outlook.office365.us/.default",),
        tenant="organizations",
        domains=(),
        exchangers=("mail.protection.office365.us",),
        registered_at="https://portal.azure.us/",
        remark="DoD has the same MX hosts and sign-in, and another IMAP server: describe it under another name",
        sources=(
            "https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud",
            "https://learn.microsoft.com/microsoft-365/enterprise/dns-records-for-office-365-gcc-high",
            _SOVEREIGN,
        ),
    ),
    replace(
        _MICROSOFT,
        name="microsoft365-cn",
        title="Microsoft 365 operated by 21Vianet",
        upstream="imaps://partner.outlook.cn",
        authorization="https://login.partner.microsoftonline.cn/{tenant}/oauth2/v2.0/authorize",
        token="https://login.partner.microsoftonline.cn/{tenant}/oauth2/v2.0/token",
        device="https://login.partner.microsoftonline.cn/{tenant}/oauth2/v2.0/devicecode",
        scopes=("https://partner.outlook.cn/IMAP.AccessAsUser.All", "offline_access"),
        application_scopes=("https://partner.outlook.cn/.default",),
        tenant="organizations",
        domains=(),
        exchangers=("mail.protection.partner.outlook.cn",),
        registered_at="https://portal.azure.cn/",
        sources=(
            "https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud",
            "https://docs.azure.cn/entra/identity-platform/authentication-national-cloud",
            _SOVEREIGN,
        ),
    ),
    _GOOGLE,
    _YAHOO,
    replace(
        _YAHOO,
        name="aol",
        title="AOL",
        upstream="imaps://imap.aol.com",
        authorization="https://api.login.aol.com/oauth2/request_auth",
        token="https://api.login.aol.com/oauth2/get_token",
        revocation="",
        domains=("aol.com",),
        exchangers=("mx-aol.mail.gm0.yahoodns.net",),
        registered_at="",
        sources=(_THUNDERBIRD,),
    ),
    Provider(
        "fastmail",
        "Fastmail",
        "imaps://imap.fastmail.com",
        authorization="https://api.fastmail.com/oauth/authorize",
        token="https://api.fastmail.com/oauth/refresh",
        revocation="https://api.fastmail.com/oauth/revoke",
        issuer="https://api.fastmail.com",
        scopes=("https://www.fastmail.com/dev/protocol-imap",),
        domains=("fastmail.com", "fastmail.fm"),
        exchangers=("messagingengine.com",),
        registered_at="https://www.fastmail.com/developer/oauth/",
        remark="its developers register applications, on request",
        sources=(
            _THUNDERBIRD,
            "https://www.fastmail.com/developer/oauth/",
            "https://api.fastmail.com/.well-known/oauth-authorization-server",
        ),
    ),
    Provider(
        "yandex",
        "Yandex",
        "imaps://imap.yandex.com",
        authorization="https://oauth.yandex.com/authorize",
        token="https://oauth.yandex.com/token",
        device="https://oauth.yandex.com/device/code",
        scopes=("mail:imap_full",),
        domains=("yandex.com", "yandex.ru", "ya.ru", "yandex.by", "yandex.kz"),
        exchangers=("mx.yandex.net",),
        registered_at="https://oauth.yandex.com/client/new",
        sources=(
            _THUNDERBIRD,
            "https://yandex.com/dev/id/doc/en/codes/code-url",
            "https://yandex.com/dev/id/doc/en/codes/screen-code-oauth",
            "https://yandex.ru/support/yandex-360/business/mail/ru/web/security/oauth",
        ),
    ),
    Provider(
        "mailru",
        "Mail.ru",
        "imaps://imap.mail.ru",
        authorization="https://oauth.mail.ru/login",
        token="https://oauth.mail.ru/token",
        scopes=("userinfo", "mail.imap"),  # the second is not given without the first
        domains=("mail.ru", "inbox.ru", "list.ru", "bk.ru"),
        exchangers=("mxs.mail.ru",),
        registered_at="https://id.vk.com/about/business/go/docs/ru/vkid/latest/oauth/oauth-mail/index",
        sources=("https://id.vk.com/about/business/go/docs/ru/vkid/latest/oauth/oauth-mail/index",),
    ),
    Provider(
        "zoho",
        "Zoho",
        "",  # imap or imappro, in each data centre another
        authorization="https://accounts.zoho.{tenant}/oauth/v2/auth",
        token="https://accounts.zoho.{tenant}/oauth/v2/token",
        # Its device flow has grant types and answers of its own, so there is no device endpoint here.
        asked=(("access_type", "offline"), ("prompt", "consent")),  # else there is no refresh token
        tenant="com",
        domains=("zoho.com", "zoho.eu", "zoho.in", "zohomail.com", "zohomail.eu", "zohomail.in"),
        exchangers=("mx.zoho.com", "mx.zoho.eu", "mx.zoho.in", "mx.zoho.com.au", "mx.zoho.jp"),
        registered_at="https://api-console.zoho.com/",
        remark="it documents no scope for IMAP: ask it for one, or take an app password; `tenant` is the data "
        "centre: com, eu, in, com.au, jp",
        sources=(
            "https://www.zoho.com/mail/help/api/using-oauth-2.html",
            "https://zoho.com/accounts/protocol/oauth/web-apps/protocol-flow.html",
            "https://zoho.com/accounts/protocol/oauth/devices/initiation-request.html",
        ),
    ),
)

PROVIDERS: dict[str, Provider] = {row.name: row for row in _ROWS}
