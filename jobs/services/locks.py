"""The locks on the repository of a medium, asked of nodes that reach it: whose they are, and clearing a dead one (J3).

A host judges its own processes: where a lock is of a host that runs a node of ours, that node is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.utils import timezone

from jobs.engine.errors import EngineError
from jobs.models import Job, JobState
from jobs.rules import placement
from jobs.selectors import agents_of_media, node_figures
from jobs.services.asking import ask_node
from jobs.services.failures import NodeSilent
from jobs.services.launch import Actor
from policies import audit
from policies.models import AccessNode, Media

LOCKS: Final = "locks"
CLEAR_LOCK: Final = "clear-lock"
"""What a node is asked."""

_WORDS: Final = {
    "alive": "its process runs",
    "elsewhere": "of another host, and not old",
    "dead": "its process is gone",
    "expired": "no sign of life for 30 minutes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """``job`` is the running job that holds it, None = none of ours. ``words`` say what is known of its process."""

    id: str
    is_exclusive: bool
    host: str
    user: str
    pid: int
    written_at: datetime
    verdict: str
    is_stale: bool
    job: Job | None

    @property
    def words(self) -> str:
        return _WORDS.get(self.verdict, self.verdict)

    @property
    def can_clear(self) -> bool:
        return self.is_stale and self.job is None

    @property
    def age(self) -> timedelta:
        return max(timedelta(0), timezone.now() - self.written_at)


def locks_on(media: Media) -> list[Lock]:
    """Oldest first. Raises NodeSilent, and what keeps the repository from opening."""
    first = _node_for(media)
    found = ask_node(first, LOCKS, {"media": media.pk})["locks"]
    by_host = {node.hostname: node for node in AccessNode.objects.exclude(hostname="") if node.is_online}
    hosts = {lock["host"] for lock in found if lock["verdict"] == "elsewhere"}
    judged: dict[str, dict[str, Any]] = {}
    for host in hosts & by_host.keys():
        try:
            told = ask_node(by_host[host], LOCKS, {"media": media.pk})["locks"]
        except EngineError:
            continue  # that node does not reach the medium: nobody can tell
        judged |= {lock["id"]: lock for lock in told if lock["host"] == host}
    return [_lock(judged.get(lock["id"], lock)) for lock in found]


def clear_lock(media: Media, lock_id: str, *, user: Actor, how: str = audit.How.WEB) -> Lock | None:
    """Remove one lock whose process is dead. Audited. None = it was gone already.

    Raises RepositoryLocked for one that may be alive, NodeSilent, and what keeps the repository from opening.
    """
    known = next((lock for lock in locks_on(media) if lock.id == lock_id), None)
    if known is None:
        return None
    node = next((one for one in AccessNode.objects.filter(hostname=known.host) if one.is_online), None)
    answer = ask_node(node or _node_for(media), CLEAR_LOCK, {"media": media.pk, "lock": lock_id})
    if not answer["cleared"]:
        return None
    sentence = f"A dead lock was cleared: process {known.pid} on {known.host or 'an unnamed host'}, {known.words}"
    audit.record(action=audit.Action.OPERATED, instance=media, user=user, how=how, sentence=sentence)
    return known


def _lock(told: dict[str, Any]) -> Lock:
    names = AccessNode.objects.filter(hostname=told["host"]).values("name")
    running = Job.objects.filter(state=JobState.RUNNING, lease_pid=told["pid"], lease_node__in=names)
    return Lock(
        id=told["id"],
        is_exclusive=told["exclusive"],
        host=told["host"],
        user=told["user"],
        pid=told["pid"],
        written_at=datetime.fromtimestamp(told["time_ns"] / 1e9, tz=UTC),
        verdict=told["verdict"],
        is_stale=told["is_stale"],
        job=running.first(),
    )


def _node_for(media: Media) -> AccessNode:
    """A question takes no slot, so a node that is busy may answer. Raises NodeSilent."""
    chosen = placement.choose(lists=agents_of_media(media), known=[node.with_room for node in node_figures()])
    if isinstance(chosen, placement.NoNode):
        raise NodeSilent(chosen.reason)
    return AccessNode.objects.get(name=chosen.name)
