"""Every error as one documented shape: RFC 9457 problem details, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.datastructures import URL
from starlette.exceptions import HTTPException
from starlette.types import Scope

from api.errors import ApiError, Kind, Mistake, spoken
from api.input_mistakes import in_words
from api.language import language_of, spoken_in
from api.translation import in_language, of_mistakes
from detectors.sentence import Sentence
from store.errors import DatabaseAwayError, RefusedError
from store.mistakes import MistakesError, TakenError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5  # the pool looks for a lost database about this often
# The framework has one more reason to refuse, a body that is neither JSON nor anything.
_UNREADABLE = Sentence("The request cannot be read: its body must be JSON in UTF-8.")
log = structlog.get_logger("api")


class FieldMistake(BaseModel):
    """One mistake in the input."""

    field: str = Field(description="The parameter", examples=["limit"])
    message: str = Field(description="What to write instead", examples=["must be at most 10000"])


class Problem(BaseModel):
    """An error as RFC 9457 describes it, in the words of `Accept-Language` (English, Japanese)."""

    type: str = Field(examples=["urn:mizumori:problem:unknown-town"])
    title: str = Field(examples=["No such town"])
    title_ja: str = Field(examples=["団体が見つかりません"])
    status: int = Field(examples=[404])
    detail: str = Field(
        description="What happened and what to do, for this very request",
        examples=["There is no town 'sakkata'. GET /api/v1/towns lists them."],
    )
    instance: str = Field(description="The path that was asked for")
    errors: list[FieldMistake] = Field(
        default=[], description="For mistakes in the input: each with its field"
    )


def problem_response(
    kind: Kind,
    detail: Sentence,
    scope: Scope,
    *,
    mistakes: Sequence[Mistake] = (),
    headers: Mapping[str, str] | None = None,
    status: int | None = None,
) -> Response:
    """Build the answer for one problem, in the language that the request asks for."""
    language = language_of(scope)
    said = in_language(detail, language)
    found = [
        FieldMistake(field=m.field, message=in_language(m.message, language)) for m in mistakes
    ]
    if found and language != "en":
        said = of_mistakes([(one.field, one.message) for one in found])
    problem = Problem(
        type=kind.urn,
        title=kind.title_in(language),
        title_ja=kind.title_ja,
        status=status or kind.status,
        detail=said,
        instance=URL(scope=scope).path,
        errors=found,
    )
    return Response(
        problem.model_dump_json(),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={**spoken_in(language), **(headers or {})},
    )


def responses(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """Describe the problems that a route may answer with, for the OpenAPI document."""
    grouped: dict[int | str, list[Kind]] = {}
    for kind in (*kinds, Kind.MISTAKE, Kind.INTERNAL, Kind.DATABASE_AWAY):
        grouped.setdefault(kind.status, []).append(kind)
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": "; ".join(f"{kind.title} ({kind.title_ja})" for kind in group),
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status, group in grouped.items()
    }


def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return problem_response(
        error.kind,
        error.detail,
        request.scope,
        mistakes=error.mistakes,
        headers=error.headers,
    )


# Where a request has another name for a column of the catalog.
_FIELDS = {"name_ja": "name.ja", "name_en": "name.en"}


def _refused(request: Request, error: Exception) -> Response:
    """Answer for what the catalog does not take."""
    if isinstance(error, MistakesError):
        found = [Mistake(_FIELDS.get(m.field, m.field), m.message) for m in error.mistakes]
        kind = Kind.TAKEN if isinstance(error, TakenError) else Kind.MISTAKE
        return problem_response(kind, spoken(error), request.scope, mistakes=found)
    return problem_response(Kind.MISTAKE, spoken(error), request.scope)


def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    mistakes = [in_words(each) for each in error.errors()]
    said = "; ".join(f"{m.field}: {m.message}" for m in mistakes)
    detail = Sentence("{said}", said=said)
    return problem_response(Kind.MISTAKE, detail, request.scope, mistakes=mistakes)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    scope = request.scope
    if error.status_code == Kind.METHOD.status:
        headers = {"Allow": "GET", **(error.headers or {})}
        detail = Sentence(
            "{method} is not possible here; use {allowed}.",
            method=request.method,
            allowed=headers["Allow"],
        )
        return problem_response(Kind.METHOD, detail, scope, headers=headers)
    if error.status_code == Kind.UNKNOWN_ADDRESS.status:
        detail = Sentence("Check the address. /api/v1/openapi.json lists what the API offers.")
        return problem_response(Kind.UNKNOWN_ADDRESS, detail, scope)
    detail = error.detail if isinstance(error.detail, Sentence) else _UNREADABLE
    if error.status_code == Kind.TOO_LARGE.status:
        return problem_response(Kind.TOO_LARGE, detail, scope)
    return problem_response(
        Kind.REFUSED, detail, scope, status=error.status_code, headers=error.headers
    )


def database_away(scope: Scope) -> Response:
    """Build the answer while the database does not answer."""
    detail = Sentence(
        "Readings go on being collected by the broker and nothing is lost. Try again in a few "
        "seconds; if it stays so, run `mizumori doctor` on the server."
    )
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return problem_response(Kind.DATABASE_AWAY, detail, scope, headers=headers)


def too_slow(scope: Scope) -> Response:
    """Build the answer for a request that was given up."""
    detail = Sentence(
        "Ask for a shorter time range or a coarser bucket, or try again in a few seconds."
    )
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return problem_response(Kind.TOO_SLOW, detail, scope, headers=headers)


def _database(request: Request, error: Exception) -> Response:
    if isinstance(error, psycopg.errors.QueryCanceled):
        return too_slow(request.scope)
    return database_away(request.scope)


def install(app: FastAPI) -> None:
    """Make every expected error of ``app`` a problem document."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(DatabaseAwayError, _database)
    app.add_exception_handler(psycopg.OperationalError, _database)


def describe(app: FastAPI) -> None:
    """Add the shape of a problem to the OpenAPI document of ``app``."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        for name, schema in {"Problem": problem, **problem.pop("$defs")}.items():
            schemas.setdefault(name, schema)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way
