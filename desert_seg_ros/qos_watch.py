"""What DDS reports about peers: those that cannot be connected to, and messages lost on the way.

DDS reports that a peer's quality of service does not match; the graph tells which peer.
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


class QosWatch:
    """Collects the topics for which DDS reported an incompatible peer, and looks up that peer while it exists."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._endpoints: dict[str, Any] = {}
        self._reported: set[str] = set()

    def publisher_callbacks(self, topic: str) -> PublisherEventCallbacks:
        """For `create_publisher`."""
        return PublisherEventCallbacks(incompatible_qos=self._reporter(topic), use_default_callbacks=False)

    def subscription_callbacks(self, topic: str, on_lost: Callable[[int], None]) -> SubscriptionEventCallbacks:
        """For `create_subscription`; `on_lost` is called with the number of newly lost messages."""
        return SubscriptionEventCallbacks(
            incompatible_qos=self._reporter(topic),
            message_lost=lambda event: on_lost(event.total_count_change),
            use_default_callbacks=False,
        )

    def watched(self, endpoint: Any) -> Any:
        """Remember a publisher or subscription, and return it."""
        self._endpoints[endpoint.topic_name] = endpoint
        return endpoint

    def sentences(self) -> list[str]:
        """Peers that cannot be connected to, and why; empty when none is left."""
        return [sentence for topic in sorted(self._reported) for sentence in self._sentences(topic)]

    def _sentences(self, topic: str) -> list[str]:
        endpoint = self._endpoints[topic]
        own = endpoint.qos_profile
        if isinstance(endpoint, Subscription):
            does, peers = "publishes", self._node.get_publishers_info_by_topic(topic)
            verdicts = [qos_check_compatible(peer.qos_profile, own) for peer in peers]
        else:
            does, peers = "subscribes to", self._node.get_subscriptions_info_by_topic(topic)
            verdicts = [qos_check_compatible(own, peer.qos_profile) for peer in peers]
        return [
            f"{peer.node_namespace.rstrip('/')}/{peer.node_name} {does} {topic} with another quality of service, so "
            f"nothing arrives ({reason.removeprefix('ERROR: ').rstrip('; ')})"
            for peer, (verdict, reason) in zip(peers, verdicts, strict=True)
            if verdict == QoSCompatibility.ERROR
        ]

    def _reporter(self, topic: str) -> Any:
        name = self._node.resolve_topic_name(topic)
        return lambda event: self._reported.add(name)
