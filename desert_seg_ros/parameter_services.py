"""rclpy's services that set the node's parameters, but answering every request."""

from __future__ import annotations

from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.parameter_service import ParameterService


class ParameterServices(ParameterService):
    """Refuses a value of unknown type, whose error would end the process in rclpy's own."""

    def _set_parameters_callback(
        self, request: SetParameters.Request, response: SetParameters.Response
    ) -> SetParameters.Response:
        for parameter in request.parameters:
            try:
                super()._set_parameters_callback(SetParameters.Request(parameters=[parameter]), response)
            except ValueError as error:
                response.results.append(_refusal(error))
        return response

    def _set_parameters_atomically_callback(
        self, request: SetParametersAtomically.Request, response: SetParametersAtomically.Response
    ) -> SetParametersAtomically.Response:
        try:
            super()._set_parameters_atomically_callback(request, response)
        except ValueError as error:
            response.result = _refusal(error)
        return response


def _refusal(error: ValueError) -> SetParametersResult:
    return SetParametersResult(successful=False, reason=f"{error}; give one of rcl_interfaces/msg/ParameterType")
