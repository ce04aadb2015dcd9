"""Who reads what: a fair share for every gateway that is alive, with as few moves as possible."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from store.gateways import Unit


@dataclass(frozen=True, slots=True)
class Plan:
    """What one gateway has to do next; both by town and partition."""

    give_up: tuple[Unit, ...]
    take: tuple[Unit, ...]


def plan(me: str, alive: Collection[str], holders: Mapping[Unit, str | None]) -> Plan:
    """Decide what a gateway gives up and what it takes.

    Every gateway decides by itself, from the same rows. Where two of them saw different rows the
    store decides: what is not free cannot be taken.

    Parameters
    ----------
    me
        This gateway; it is alive.
    alive
        Every gateway that is.
    holders
        Of each partition of every town; None: it is free.

    Returns
    -------
    Plan
        What one holds beyond its share it gives up. What is free goes to those below their
        share, in turn: so no two want the same.

    Examples
    --------
    >>> plan("a", ["a", "b"], {(1, 0): "a", (1, 1): "a", (1, 2): "a", (1, 3): None})
    Plan(give_up=((1, 2),), take=())
    >>> plan("b", ["a", "b"], {(1, 0): "a", (1, 1): "a", (1, 2): "a", (1, 3): None})
    Plan(give_up=(), take=((1, 3),))
    """
    held: dict[str, list[Unit]] = {gateway: [] for gateway in {*alive, me}}
    free: list[Unit] = []
    for unit in sorted(holders):
        holder = holders[unit]
        if holder is None:
            free.append(unit)
        else:
            held[holder].append(unit)
    # Those who hold most get what does not divide evenly: they then give up nothing for it.
    ranked = sorted(held, key=lambda gateway: (-len(held[gateway]), gateway))
    share, rest = divmod(len(holders), len(ranked))
    for rank, gateway in enumerate(ranked):
        own = share + (rank < rest)
        missing = max(0, own - len(held[gateway]))
        if gateway == me:
            return Plan(tuple(held[me][own:]), tuple(free[:missing]))
        del free[:missing]
    raise AssertionError("one of them is me")
