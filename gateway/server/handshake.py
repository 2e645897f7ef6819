"""Why a TLS handshake failed, in words that say what to look at."""

import ssl

_NEWER = "the client's TLS is older than min_version; a listener of its own may take it"
_NO_TRUST = "the client does not trust our certificate"
# OpenSSL's reasons, as ssl.SSLError has them.
_REASONS = {
    "UNSUPPORTED_PROTOCOL": _NEWER,
    "VERSION_TOO_LOW": _NEWER,
    "NO_SHARED_CIPHER": "the client and we have no cipher in common",
    "HTTP_REQUEST": "the client speaks HTTP",
    "WRONG_VERSION_NUMBER": "the client does not begin with TLS; for STLS there is pop3://",
    "TLSV1_ALERT_UNKNOWN_CA": _NO_TRUST,
    "SSLV3_ALERT_BAD_CERTIFICATE": _NO_TRUST,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _NO_TRUST,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the client says that our certificate has expired",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the client takes none of our versions of TLS",
}


def why(error: ssl.SSLError) -> str:
    reason = error.reason or str(error)
    return _REASONS.get(reason.upper(), reason.lower().replace("_", " "))
