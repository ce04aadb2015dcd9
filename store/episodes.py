"""Episodes: what changes of level make up, and which alert each of them is.

Episodes are a function of the standing transitions alone. An episode that overlaps an alert
keeps its id; of several alerts that turn out to be one episode the younger are merged into the
oldest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from store.ledger import AlertRow, Episode, TransitionRow


@dataclass(frozen=True, slots=True)
class Change:
    """A change of level, stored or new (`transition_id` None).

    `training`, of a new one: the reading that decided it came during an exercise.
    """

    time: datetime
    from_level: int
    to_level: int
    value: float | None
    rule_version: int
    evidence: Any
    transition_id: int | None = None
    alert_id: int | None = None
    training: bool = False

    @classmethod
    def of(cls, row: TransitionRow) -> "Change":
        """Take over a stored one."""
        return cls(
            row.phenomenon_time,
            row.from_level,
            row.to_level,
            row.value,
            row.rule_version,
            row.evidence,
            row.transition_id,
            row.alert_id,
        )

    @property
    def says(self) -> tuple[object, ...]:
        """What was decided: two changes that say the same are one."""
        return (
            self.time,
            self.from_level,
            self.to_level,
            self.value,
            self.rule_version,
            bool(self.evidence.get("unconfirmed")),
        )


@dataclass(frozen=True, slots=True)
class Stretch:
    """An episode and the changes that make it up."""

    episode: Episode
    changes: tuple[Change, ...]


def stretches(changes: Sequence[Change]) -> list[Stretch]:
    """Cut changes of one rule at one datastream, in time order, into episodes above level 0."""
    found: list[Stretch] = []
    current: list[Change] = []
    for change in changes:
        current.append(change)
        if change.to_level == 0:
            found.append(_stretch(current))
            current = []
    if current:
        found.append(_stretch(current))
    return found


def _stretch(changes: Sequence[Change]) -> Stretch:
    last = changes[-1]
    episode = Episode(
        rule_version=last.rule_version,
        onset_time=changes[0].time,
        clear_time=last.time if last.to_level == 0 else None,
        level=last.to_level,
        peak_level=max(change.to_level for change in changes),
        peak_value=None,
    )
    return Stretch(episode, tuple(changes))


def assign(
    alerts: Sequence[AlertRow], episodes: Sequence[Episode]
) -> tuple[list[AlertRow | None], dict[int, int]]:
    """Decide which alert each episode is.

    Parameters
    ----------
    alerts, episodes
        Both by onset.

    Returns
    -------
    list of AlertRow or None
        Per episode the oldest alert that overlaps it and is no earlier episode's; None: a new one.
    dict
        Merged alerts: id, and the index of the episode they are part of.
    """
    chosen: list[AlertRow | None] = [None] * len(episodes)
    merged: dict[int, int] = {}
    for alert in alerts:
        for number, episode in enumerate(episodes):
            if not _overlap(alert, episode):
                continue
            if chosen[number] is None:
                chosen[number] = alert
                merged.pop(alert.alert_id, None)
                break
            merged.setdefault(alert.alert_id, number)
    return chosen, merged


def _overlap(alert: AlertRow, episode: Episode) -> bool:
    starts_before_end = episode.clear_time is None or alert.onset_time < episode.clear_time
    ends_after_start = alert.clear_time is None or episode.onset_time < alert.clear_time
    return starts_before_end and ends_after_start
