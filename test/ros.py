"""A real node in its own process, and a ROS node of the test's own to talk to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String

from desert_seg.recordings.image_codec import fill_image

TIMEOUT_S = 60.0
MODEL = Path(__file__).resolve().parent.parent / "models" / "light"


class NodeProcess:
    """The segmentation node, started as on a robot."""

    def __init__(self, *arguments, log, program=("-m", "desert_seg_ros.start")):
        self.log = log
        command = [sys.executable, *program, "--ros-args", "-p", f"artifact:={MODEL}", *arguments]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONFAULTHANDLER": "1"}
            )

    def stop(self, how=signal.SIGINT):
        """Ask the process to end; returns its exit code. One that does not is made to say where it hangs."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait(TIMEOUT_S)
            raise AssertionError(f"the node did not end within {TIMEOUT_S:.0f} s: {self.output()}") from None

    def output(self):
        return self.log.read_text()


class Peer:
    """Publishes images to the node and collects what it publishes."""

    def __init__(self, name="segment"):
        self.node = rclpy.create_node("test_peer")
        self.name = name
        self.subscriptions = []
        self._count = 1000
        self.publishers = {
            "image": self.node.create_publisher(Image, "image", 10),
            "image/compressed": self.node.create_publisher(CompressedImage, "image/compressed", 10),
            "camera_info": self.node.create_publisher(CameraInfo, "camera_info", 10),
        }

    def listen(self, topic, kind, qos=10):
        """Subscribe and return the list that messages will be appended to."""
        name = topic if topic.startswith("/") else f"/{self.name}/{topic}"
        messages = []
        self.subscriptions.append(self.node.create_subscription(kind, name, messages.append, qos))
        self.until(lambda: self.node.count_publishers(name) > 0, f"a publisher on {name}")
        return messages

    def until(self, condition, what, timeout=TIMEOUT_S):
        """Spin until a condition holds; fails naming what was waited for."""
        deadline = time.monotonic() + timeout
        while not (result := condition()):
            assert time.monotonic() < deadline, f"waited {timeout} s for {what}"
            rclpy.spin_once(self.node, timeout_sec=0.05)
        return result

    def until_ready(self, topic="image"):
        """Wait until the node listens to us."""
        self.until(lambda: self.publishers[topic].get_subscription_count() > 0, f"the node to subscribe to {topic}")

    def send(self, rgb, stamp=(7, 8), frame_id="front_camera", encoding="rgb8"):
        """Publish a raw image."""
        message = Image()
        message.header.stamp.sec, message.header.stamp.nanosec = stamp
        message.header.frame_id = frame_id
        fill_image(message, rgb, encoding, message.header)
        self.publishers["image"].publish(message)
        return message

    def exchange(self, rgb, masks, **arguments):
        """Send an image until its mask arrives in `masks`, an output listened to; returns that message.

        The first image may be lost while both sides are still discovering each other, so it is sent again now and then.
        """
        self._count += 1
        arguments.setdefault("stamp", (int(time.time()), self._count))
        again = 0.0

        def arrived():
            nonlocal again
            if time.monotonic() > again:
                self.send(rgb, **arguments)
                again = time.monotonic() + 2.0
            stamps = [(message.header.stamp.sec, message.header.stamp.nanosec) for message in masks]
            return arguments["stamp"] in stamps and masks[stamps.index(arguments["stamp"])]

        return self.until(arrived, "a mask")

    def ask(self, service, kind, request):
        """Call a service of the node."""
        client = self.node.create_client(kind, f"/{self.name}/{service}")
        self.until(client.service_is_ready, f"service {service}")
        future = client.call_async(request)
        self.until(future.done, f"an answer of {service}")
        self.node.destroy_client(client)
        return future.result()

    def set_parameter(self, name, value):
        """Set one parameter; returns (successful, reason)."""
        kinds = {
            bool: (ParameterType.PARAMETER_BOOL, "bool_value"),
            float: (ParameterType.PARAMETER_DOUBLE, "double_value"),
            str: (ParameterType.PARAMETER_STRING, "string_value"),
            list: (ParameterType.PARAMETER_STRING_ARRAY, "string_array_value"),
        }
        kind, slot = kinds[type(value)]
        parameter = Parameter(name=name, value=ParameterValue(type=kind, **{slot: value}))
        result = self.ask("set_parameters", SetParameters, SetParameters.Request(parameters=[parameter])).results[0]
        return result.successful, result.reason

    def get_parameter(self, name):
        return self.ask("get_parameters", GetParameters, GetParameters.Request(names=[name])).values[0]

    def describe_parameter(self, name):
        request = DescribeParameters.Request(names=[name])
        return self.ask("describe_parameters", DescribeParameters, request).descriptors[0]

    def close(self):
        self.node.destroy_node()


def mask_of(message):
    """HxW uint8 of a mono8 message, and proof that it is tightly packed."""
    assert message.encoding == "mono8"
    assert message.step == message.width
    assert len(message.data) == message.width * message.height
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)


def latest(peer, health):
    """What the peer's node said last; other nodes report on the same topic."""
    own = [status for message in health for status in message.status if status.name.startswith(f"{peer.name}:")]
    return own[-1] if own else DiagnosticStatus()


def values_of(peer, health):
    """The values of that, by key."""
    return {entry.key: entry.value for entry in latest(peer, health).values}


LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
__all__ = ["LATCHED", "MODEL", "DiagnosticArray", "NodeProcess", "Peer", "String", "latest", "mask_of", "values_of"]
