"""What can go wrong in a request, and the words for it."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.dictionary import Language
from detectors.sentence import Sentence


class StartError(Exception):
    """The API cannot start; the message is one sentence that says what to do."""


class Kind(enum.Enum):
    """Kinds of problem: name in the ``type`` URN, status, title in English and in Japanese."""

    UNKNOWN_ADDRESS = ("unknown-address", 404, "Nothing is at this address", "ページがありません")
    UNKNOWN_TOWN = ("unknown-town", 404, "No such town", "団体が見つかりません")
    UNKNOWN_DEVICE = ("unknown-device", 404, "No such device", "機器が見つかりません")
    UNKNOWN_DATASTREAM = (
        "unknown-datastream",
        404,
        "No such datastream",
        "測定項目が見つかりません",
    )
    UNKNOWN_ALERT = ("unknown-alert", 404, "No such alert", "アラートが見つかりません")
    UNKNOWN_SITE = ("unknown-site", 404, "No such site", "地点が見つかりません")
    TOKEN = ("token-needed", 401, "Writing needs a token", "書き込みにはトークンが必要です")
    TAKEN = ("taken", 409, "The code is taken", "そのコードは使われています")
    TOWN_SETTING = (
        "town-setting",
        503,
        "A setting of the town is wrong",
        "団体の設定に誤りがあります",
    )
    METHOD = (
        "method-not-allowed",
        405,
        "This address does not take this method",
        "この操作はできません",
    )
    MISTAKE = ("mistake-in-request", 422, "The request has a mistake", "入力に誤りがあります")
    TOO_MUCH = ("too-much", 413, "That is too much at once", "一度に処理できる量を超えています")
    TOO_LARGE = ("too-large", 413, "The request is too large", "送信内容が大きすぎます")
    REFUSED = ("refused", 400, "The request was refused", "要求を受け付けられません")
    INTERNAL = ("internal", 500, "The server has a fault", "サーバーで障害が起きました")
    DATABASE_AWAY = (
        "database-away",
        503,
        "The database does not answer",
        "データベースに接続できません",
    )
    TOO_SLOW = ("too-slow", 503, "The answer took too long", "応答に時間がかかりすぎました")
    NOT_READY = ("not-ready", 503, "Not everything is running", "準備ができていません")
    BUSY = ("busy", 503, "Another backtest is running", "別の検証を実行中です")
    FULL = ("live-feed-full", 503, "Too many live feeds are open", "同時接続数の上限です")

    def __init__(self, slug: str, status: int, title: str, title_ja: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title
        self.title_ja = title_ja

    def title_in(self, language: Language) -> str:
        """What it is called in a language."""
        return self.title_ja if language == "ja" else self.title

    @property
    def urn(self) -> str:
        """The ``type`` of the problem document."""
        return f"urn:mizumori:problem:{self.slug}"


@dataclass(frozen=True)
class Mistake:
    """One mistake in the input: where it is, and what to write instead."""

    field: str
    message: Sentence


class ApiError(Exception):
    """A request that cannot be answered as asked.

    Parameters
    ----------
    kind
        Which problem it is.
    detail
        One or two sentences that a person can act on; in Japanese as `api.translation` says it.
    mistakes
        For mistakes in the input: each with its field.
    headers
        Extra headers of the answer, such as ``Retry-After``.
    """

    def __init__(
        self,
        kind: Kind,
        detail: Sentence,
        *,
        mistakes: Sequence[Mistake] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.mistakes = tuple(mistakes)
        self.headers = dict(headers or {})


def mistake(field: str, message: Sentence) -> ApiError:
    """Build the error for one mistake in one field."""
    detail = Sentence("{field}: {reason}", field=field, reason=message)
    return ApiError(Kind.MISTAKE, detail, mistakes=[Mistake(field, message)])


def spoken(error: Exception) -> Sentence:
    """Return what an error says; one that was only ever said in English is quoted."""
    said = error.args[0] if error.args else ""
    return said if isinstance(said, Sentence) else Sentence("{said}", said=said)
