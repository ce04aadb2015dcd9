"""What the listener refuses, as RFC 9457 problem details in words."""

from typing import Any

from gateway.errors import GatewayError

MEDIA_TYPE = b"application/problem+json"
# title, title_ja, by the last part of the type's URN
_TITLES = {
    "not-allowed": ("Not allowed", "許可されていません"),
    "not-found": ("No such address", "アドレスが見つかりません"),
    "method": ("Only POST", "POSTのみ受け付けます"),
    "too-large": ("Body too large", "本文が大きすぎます"),
    "bad-body": ("The body cannot be read", "本文を読めません"),
    "too-slow": ("The body did not arrive in time", "本文が時間内に届きませんでした"),
    "too-many": ("Too many requests", "要求が多すぎます"),
    "broken": ("Something unforeseen went wrong", "予期しない誤りが起きました"),
    "not-now": ("Not now, send it again", "今は受け付けられません。再送してください"),
}


class PushError(GatewayError):
    """A request that is not taken, with what the sender reads about it.

    Parameters
    ----------
    status
        Of HTTP.
    kind
        The last part of the problem's type.
    detail
        What happened and what to do.
    headers
        More of them for the answer.
    """

    def __init__(
        self, status: int, kind: str, detail: str, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = headers

    def document(self, instance: str) -> dict[str, Any]:
        """Return the problem document."""
        title, title_ja = _TITLES[self.kind]
        return {
            "type": f"urn:mizumori:problem:{self.kind}",
            "title": title,
            "title_ja": title_ja,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
        }


def not_now(detail: str, retry_after_s: int) -> PushError:
    """Return what a sender gets who is to send the same once more: nothing of it is lost."""
    return PushError(503, "not-now", detail, ((b"retry-after", b"%d" % retry_after_s),))


def unauthorized() -> PushError:
    """Return what a sender gets without a token that is good for the town."""
    return PushError(
        401,
        "not-allowed",
        "The request needs the header Authorization: Bearer TOKEN, with the token that `mizumori "
        "operator add` has shown for this town. A revoked one is good no more.",
        ((b"www-authenticate", b'Bearer realm="mizumori"'),),
    )
