"""Access nodes: what an admin decides about them. What they report of themselves is written by the node (``jobs``)."""

from __future__ import annotations

from typing import TypedDict, Unpack

from policies import audit
from policies.errors import CannotDelete
from policies.models import AccessNode
from policies.services import writing


class NodeValues(TypedDict, total=False):
    slots: int
    address: str
    is_draining: bool
    is_enabled: bool


def create_node(*, name: str, user: audit.Actor, how: str = audit.How.WEB, **values: Unpack[NodeValues]) -> AccessNode:
    """A node that is known before its worker starts; it is offline until then. Raises ValidationError."""
    return writing.create(AccessNode(), values={"name": name, **values}, user=user, how=how)


def update_node(
    node: AccessNode, *, user: audit.Actor, how: str = audit.How.WEB, **values: Unpack[NodeValues]
) -> AccessNode:
    """A node's name is its queue's and never changes; start the worker under another name instead."""
    return writing.update(node, values=values, user=user, how=how)


def set_node_draining(
    node: AccessNode, *, is_draining: bool, user: audit.Actor, how: str = audit.How.WEB
) -> AccessNode:
    """Draining: finishes what it runs, takes nothing new."""
    return writing.update(node, values={"is_draining": is_draining}, user=user, how=how)


def set_node_enabled(node: AccessNode, *, is_enabled: bool, user: audit.Actor, how: str = audit.How.WEB) -> AccessNode:
    return writing.update(node, values={"is_enabled": is_enabled}, user=user, how=how)


def delete_node(node: AccessNode, *, user: audit.Actor, how: str = audit.How.WEB) -> None:
    """Only a node that is gone: one that still reports would be there again with its next heartbeat."""
    if node.is_online:
        raise CannotDelete(
            f"The access node “{node}” is online.", hint="Stop its worker first, or switch the node off."
        )
    writing.delete(node, user=user, how=how)
