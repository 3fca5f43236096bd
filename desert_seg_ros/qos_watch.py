"""Peers that an endpoint of ours cannot be connected to, by their quality of service, as the graph has it.

DDS reports such peers as events, too, but each kind of event of each endpoint is one more thing that the executor looks
at, twice, whenever an image comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.subscription import Subscription

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks


def no_publisher_events() -> PublisherEventCallbacks:
    """For `create_publisher`, in place of rclpy's own, which log what `QosWatch` says."""
    return PublisherEventCallbacks(use_default_callbacks=False)


def subscription_events(on_lost: Callable[[int], None] | None = None) -> SubscriptionEventCallbacks:
    """For `create_subscription`, likewise.

    Args:
        on_lost: Told how many more messages were published and did not get here.
    """
    return SubscriptionEventCallbacks(
        message_lost=None if on_lost is None else lambda event: on_lost(event.total_count_change),
        use_default_callbacks=False,
    )


class QosWatch:
    """Looks up, for the endpoints it is told of, who cannot be connected to."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._endpoints: dict[str, Any] = {}

    def watched(self, endpoint: Any) -> Any:
        """Remember a publisher or subscription, and return it."""
        self._endpoints[endpoint.topic_name] = endpoint
        return endpoint

    def forget(self, endpoint: Any) -> None:
        """The opposite of `watched`, before the endpoint is destroyed."""
        self._endpoints.pop(endpoint.topic_name, None)

    def sentences(self) -> list[str]:
        """Who cannot be connected to, and why."""
        return [sentence for topic in sorted(self._endpoints) for sentence in self._sentences(topic)]

    def _sentences(self, topic: str) -> list[str]:
        publishers = self._node.get_publishers_info_by_topic(topic)
        subscriptions = self._node.get_subscriptions_info_by_topic(topic)
        listens = isinstance(self._endpoints[topic], Subscription)
        found = []
        # Ours is taken from the graph, too: what rclpy was given leaves some policies to the middleware.
        for own in filter(self._is_ours, subscriptions if listens else publishers):
            for peer in publishers if listens else subscriptions:
                offered, wanted = (peer, own) if listens else (own, peer)
                verdict, reason = qos_check_compatible(offered.qos_profile, wanted.qos_profile)
                if verdict == QoSCompatibility.ERROR and peer.topic_type == own.topic_type:
                    found.append(
                        f"{peer.node_namespace.rstrip('/')}/{peer.node_name} "
                        f"{'publishes' if listens else 'subscribes to'} {topic} with another quality of service, so "
                        f"nothing arrives ({reason.removeprefix('ERROR: ').rstrip('; ')})"
                    )
        return found

    def _is_ours(self, endpoint: Any) -> bool:
        return (endpoint.node_namespace, endpoint.node_name) == (self._node.get_namespace(), self._node.get_name())
