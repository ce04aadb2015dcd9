"""Who may write a town's sites, devices and rules: whoever shows one of its tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.errors import ApiError, Kind
from api.provisioning import Provisioning
from api.town import HasTown, TownAccess
from detectors.sentence import Sentence
from store import provisioning_tokens
from store.database import Connection
from store.town_catalog import Tenant

log = structlog.get_logger("api")
_bearer = HTTPBearer(auto_error=False, description="`mizumori token add TOWN NAME` makes one.")
_LONGEST = 200


@dataclass(frozen=True)
class Writer:
    """A town, and transactions that may write its sites, devices and rules."""

    here: TownAccess
    token: str
    provisioning: Provisioning

    @property
    def town(self) -> Tenant:
        """The town that is written."""
        return self.here.town

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction that writes; the database itself looks at the token.

        Raises
        ------
        ApiError
            If the token is not valid for this town.
        """
        with self.here.transaction() as conn:
            if provisioning_tokens.present(conn, self.token) is None:
                said = Sentence(
                    "This token is not valid here: it is none, was revoked, has expired or is "
                    "another town's."
                )
                raise _refused(self.here, said)
            yield conn


def writer(
    request: Request,
    here: HasTown,
    shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Writer:
    """Take the token of a request.

    Raises
    ------
    ApiError
        If it shows none.
    """
    if shown is None or not shown.credentials or len(shown.credentials) > _LONGEST:
        raise _refused(here, Sentence("Writing needs a token."))
    found = Writer(here, shown.credentials, request.app.state.provisioning)
    with found.transaction():
        return found  # before the body is looked at: a stranger learns nothing of what is wanted


def _refused(here: TownAccess, why: Sentence) -> ApiError:
    log.warning("write_refused", town=here.town.code)
    return ApiError(
        Kind.TOKEN,
        Sentence(
            "{why} `mizumori token add {town} NAME` on the server makes one; send it as "
            "`Authorization: Bearer TOKEN`.",
            why=why,
            town=here.town.code,
        ),
        headers={"WWW-Authenticate": 'Bearer realm="mizumori"'},
    )


HasWriter = Annotated[Writer, Depends(writer)]
