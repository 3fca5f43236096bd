"""Gives a running node another model: `python -m desert_seg_ros.swap_model /segment models/my_site`.

Sets the node's parameter `artifact` and calls its `~/reload_model`. If the node refuses the model, the parameter is set
back. `desert-seg site` runs it as a program, because it does not import ROS.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desert_seg.errors import DesertSegError
from desert_seg.program import Work, run_program
from desert_seg_ros.environment import require_ros
from desert_seg_ros.side_node import spinning_node

if TYPE_CHECKING:
    from rclpy.node import Node

PROGRAM = "python -m desert_seg_ros.swap_model"
FIND_S = 10.0
ANSWER_S = 120.0
"""Longest wait for an answer: loading and warming up takes seconds, minutes on a machine that is busy."""


def swap_model(node_name: str, artifact: str) -> str:
    """Swap the model of a node; returns what the node says it runs now.

    Args:
        node_name: Name of the node, with its namespace.
        artifact: Folder of a model artifact on the node's machine, or the name of a shipped model.

    Raises:
        DesertSegError: There is no such node, it does not answer, or it refuses the model; then the old one stays.
    """
    require_ros()
    from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
    from rcl_interfaces.srv import GetParameters, SetParameters
    from std_srvs.srv import Trigger

    name = f"/{node_name.strip('/')}"
    # The node may have been started in another folder.
    path = str(Path(artifact).resolve()) if Path(artifact).is_dir() else artifact
    with spinning_node("desert_seg_swap_model") as node:
        ask = partial(_ask, node, name)

        def set_artifact(value: str) -> Any:
            text = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value)
            request = SetParameters.Request(parameters=[Parameter(name="artifact", value=text)])
            return ask(SetParameters, "set_parameters", request).results[0]

        earlier = ask(GetParameters, "get_parameters", GetParameters.Request(names=["artifact"])).values
        if not earlier or earlier[0].type != ParameterType.PARAMETER_STRING:
            raise DesertSegError(f"the node {name} has no parameter artifact; give the name of a segmentation node")
        if not (result := set_artifact(path)).successful:
            raise DesertSegError(f"the node {name} refused the model: {result.reason}")
        answer = ask(Trigger, "reload_model", Trigger.Request())
        if not answer.success:
            set_artifact(earlier[0].string_value)
            raise DesertSegError(f"the node {name} refused the model: {answer.message}")
    return str(answer.message)


def _ask(node: Node, name: str, kind: Any, service: str, request: Any) -> Any:
    """The answer of a service of the node."""
    from rclpy.exceptions import InvalidServiceNameException

    try:
        client: Any = node.create_client(kind, f"{name}/{service}")
    except InvalidServiceNameException as error:
        raise DesertSegError(
            f"found the node name {name!r}, expected one like /segment; see `ros2 node list`"
        ) from error
    if not client.wait_for_service(FIND_S):
        raise DesertSegError(
            f"found no {name}/{service} within {FIND_S:.0f} s, expected a segmentation node that is configured; start "
            "it, or check its name, ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE"
        )
    answered = threading.Event()
    future = client.call_async(request)
    future.add_done_callback(lambda _: answered.set())
    if not answered.wait(ANSWER_S):
        raise DesertSegError(f"{name}/{service} did not answer within {ANSWER_S:.0f} s; look at the node's log")
    return future.result()


def prepare(arguments: Sequence[str]) -> Work:
    """What is to be done for the arguments; raises DesertSegError if they are not two."""
    if len(arguments) != 2:
        found = " ".join(arguments) or "no arguments"
        raise DesertSegError(f"found {found}, expected the node's name and a model: {PROGRAM} /segment ARTIFACT")
    return partial(_run, *arguments)


def _run(node_name: str, artifact: str) -> None:
    said = swap_model(node_name, artifact)
    sys.stdout.write(f"/{node_name.strip('/')} {said}\n")


if __name__ == "__main__":
    run_program(PROGRAM, prepare)
