"""The node's parameters in ROS: declared, checked when somebody sets one, and passed on once they are set.

`parameters` defines them and the values they may have.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import Field, fields
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from desert_seg.errors import DesertSegError, shortened
from desert_seg_ros.parameter_services import ParameterServices
from desert_seg_ros.parameters import NodeParameters, ParameterError, expectation
from desert_seg_ros.qos_overrides import PREFIX, check_overrides


class DeclaredParameters:
    """The attribute `values` holds the present values."""

    def __init__(
        self, node: Node, check: Callable[[NodeParameters], object], on_change: Callable[[NodeParameters], object]
    ) -> None:
        """Declare them.

        Args:
            node: The node they belong to.
            check: Called with values that somebody wants to set; raises DesertSegError to refuse them.
            on_change: Called with the values that were set.

        Raises:
            ParameterError: A parameter given at start has an invalid value.
        """
        self._node, self._check, self._on_change = node, check, on_change
        check_overrides({name: parameter.value for name, parameter in node._parameter_overrides.items()})
        self.values = NodeParameters().changed({item.name: self._declare(item) for item in fields(NodeParameters)})
        self._warn_of_unknown()
        self._services = ParameterServices(node)
        self._applies_at_once = not hasattr(node, "add_post_set_parameters_callback")  # humble
        node.add_on_set_parameters_callback(self._on_set)
        if not self._applies_at_once:
            node.add_post_set_parameters_callback(self._apply)

    def _declare(self, item: Field[Any]) -> Any:
        descriptor = ParameterDescriptor(description=item.metadata["description"], read_only=not item.metadata["live"])
        if item.metadata["choices"]:
            descriptor.additional_constraints = "one of: " + ", ".join(item.metadata["choices"])
        if item.metadata["range"]:
            low, high = item.metadata["range"]
            if isinstance(item.default, int):
                descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
            else:
                descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        default = list(item.default) if isinstance(item.default, tuple) else item.default
        try:
            return self._node.declare_parameter(item.name, default, descriptor).value
        except ParameterException as error:
            found = self._node._parameter_overrides[item.name].value
            raise ParameterError(f"{item.name} is {found!r}; it must be {expectation(item.name)}") from error

    def _warn_of_unknown(self) -> None:
        """Warn of a misspelt parameter, which ROS ignores silently."""
        known = {item.name for item in fields(NodeParameters)}
        for name in self._node._parameter_overrides:
            if not self._node.has_parameter(name) and not name.startswith(PREFIX):
                likely = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean {likely[0]}?" if likely else ""
                self._node.get_logger().warning(f"there is no parameter {shortened(name)!r}, so it is ignored{hint}")

    def warn_of_unused_overrides(self) -> None:
        """Warn of a quality of service for a topic or policy that there is none of, once all topics are there."""
        for name in self._node._parameter_overrides:
            if name.startswith(PREFIX) and not self._node.has_parameter(name):
                self._node.get_logger().warning(
                    f"{shortened(name)!r} is ignored: the node has no such topic, or the policy is none of history, "
                    "depth and reliability; `ros2 param list` shows those there are"
                )

    def _on_set(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        try:
            self._check(self._with(parameters))
        except DesertSegError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if self._applies_at_once:
            self._apply(parameters)
        return SetParametersResult(successful=True)

    def _apply(self, parameters: list[Parameter[Any]]) -> None:
        self.values = self._with(parameters)
        self._on_change(self.values)

    def _with(self, parameters: list[Parameter[Any]]) -> NodeParameters:
        return self.values.changed({parameter.name: parameter.value for parameter in parameters})
