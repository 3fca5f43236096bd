"""The node's health on /diagnostics, one entry per camera, and its changes in the log."""

from __future__ import annotations

import collections
from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from desert_seg_ros.camera import Camera
from desert_seg_ros.health import OK, News, Report, Surroundings
from desert_seg_ros.messages import diagnostic_status
from desert_seg_ros.model import Model
from desert_seg_ros.parameters import NodeParameters
from desert_seg_ros.qos_watch import QosWatch
from desert_seg_ros.worker import FrameWorker


class Diagnostics:
    """See the module."""

    def __init__(self, node: Node, qos_watch: QosWatch) -> None:
        """Create the publisher."""
        self._node, self._qos_watch = node, qos_watch
        self._news: dict[str, News] = collections.defaultdict(News)
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)

    def publish(
        self,
        cameras: Sequence[Camera],
        model: Model,
        worker: FrameWorker | None,
        parameters: NodeParameters,
        failure: Exception | None,
    ) -> None:
        """Report once.

        Args:
            cameras: The cameras to report on.
            model: The one in use.
            worker: None while the node is not active.
            parameters: The node's present parameters.
            failure: What ends the process, if something does.
        """
        facts = {
            "model": model.segmenter.card.name,
            "model_digest": model.segmenter.digest,
            "engine": model.segmenter.engine.description,
            "speed": parameters.speed,
            "tta": parameters.tta,
        }
        less = worker is not None and worker.effort.views + str(worker.effort.scale) != parameters.tta + "1.0"
        mismatches = [*self._clockless(), *self._qos_watch.sentences()]
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        node = self._node.get_fully_qualified_name().lstrip("/")
        for camera in cameras:
            around = Surroundings(
                num_publishers=camera.num_publishers(),
                min_rate_hz=parameters.min_rate_hz,
                busy_s=worker.busy_s() if worker is not None else None,
                effort=str(worker.effort) if worker is not None and less else "",
                is_active=worker is not None,
                mismatches=[*mismatches, *camera.mismatches(is_smoothing=parameters.smoothing > 0)],
                failure="" if failure is None else str(failure) or type(failure).__name__,
            )
            name = f"{node}: segmentation" + (f" {camera.name}" if camera.name else "")
            report = camera.health.report(around)
            extra = facts | {"input": camera.input_topic}
            message.status.append(diagnostic_status(report, name, model.segmenter.engine.description, extra))
            if self._news[camera.name].is_news(report):
                self._log(report, camera.input_topic or camera.name)
        self._publisher.publish(message)

    def _clockless(self) -> list[str]:
        """A sentence if the node waits for a time that does not come."""
        if not self._node.get_parameter("use_sim_time").value or self._node.get_clock().now().nanoseconds:
            return []
        return [_CLOCKLESS]

    def close(self) -> None:
        """Free the publisher."""
        self._node.destroy_publisher(self._publisher)

    def _log(self, report: Report, topic: str) -> None:
        text = f"{topic}: {report.message}" if topic else report.message
        # rclpy allows one severity per call site, so each needs a line of its own.
        if report.level == OK:
            self._node.get_logger().info(text)
        else:
            self._node.get_logger().warning(text)


_CLOCKLESS = (
    "use_sim_time is set and no /clock has come, so the node's clock stands at 0: start the simulator, play the bag "
    "with --clock, or set use_sim_time to false"
)
