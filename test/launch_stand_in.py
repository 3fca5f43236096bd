"""A strict stand-in for the part of `launch` and `launch_ros` that our launch file uses.

The genuine ones are in no package registry. This one evaluates a launch file to the command lines and environments
that the genuine ones (humble to kilted) would start, and fails on anything that it does not know: a name that is not
defined here cannot be imported, an argument that is not in a signature cannot be given.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import yaml


@dataclass(frozen=True)
class Process:
    """What would be started."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    ends_the_launch: bool = False


@dataclass
class Context:
    """What a launch knows while it runs."""

    environment: dict[str, str]
    configurations: dict[str, str]
    processes: list[Process] = field(default_factory=list)


class Substitution:
    """A text that is known only when the launch runs."""

    def perform(self, context: Context) -> str:
        raise NotImplementedError


def text(context: Context, value: Any) -> str:
    """The text of a string, a substitution, or a list of these."""
    if isinstance(value, str):
        return value
    if isinstance(value, Substitution):
        return value.perform(context)
    if isinstance(value, list | tuple):
        return "".join(text(context, part) for part in value)
    raise TypeError(f"found {value!r}, expected a string, a substitution or a list of these")


class LaunchConfiguration(Substitution):
    def __init__(self, variable_name: str) -> None:
        self.name = variable_name

    def perform(self, context: Context) -> str:
        return context.configurations[self.name]


class EnvironmentVariable(Substitution):
    def __init__(self, name: str, *, default_value: Any) -> None:
        self.name, self.default = name, default_value

    def perform(self, context: Context) -> str:
        default = text(context, self.default)
        return context.environment.get(self.name, default)


class PathJoinSubstitution(Substitution):
    def __init__(self, substitutions: Sequence[Any]) -> None:
        assert all(isinstance(part, str | Substitution) for part in substitutions), "humble knows no nested lists here"
        self.parts = substitutions

    def perform(self, context: Context) -> str:
        return str(Path(*(text(context, part) for part in self.parts)))


def package_prefix(context: Context, package: str) -> Path:
    """Where a package is installed, from the ament index."""
    for prefix in context.environment["AMENT_PREFIX_PATH"].split(os.pathsep):
        if Path(prefix, "share/ament_index/resource_index/packages", package).is_file():
            return Path(prefix)
    raise LookupError(f"package {package!r} is not in {context.environment['AMENT_PREFIX_PATH']}")


class FindPackageShare(Substitution):
    def __init__(self, package: str) -> None:
        self.package = package

    def perform(self, context: Context) -> str:
        return str(package_prefix(context, self.package) / "share" / self.package)


class LaunchDescription:
    def __init__(self, entities: Sequence[Any]) -> None:
        self.entities = entities


class DeclareLaunchArgument:
    def __init__(
        self, name: str, *, default_value: Any, description: str, choices: Sequence[str] | None = None
    ) -> None:
        self.name, self.default_value, self.description, self.choices = name, default_value, description, choices

    def execute(self, context: Context) -> None:
        value = context.configurations.setdefault(self.name, text(context, self.default_value))
        if self.choices is not None and value not in self.choices:
            raise RuntimeError(f"{self.name} is {value!r}, valid options are {self.choices}")


class OpaqueFunction:
    def __init__(self, *, function: Callable[[Context], Sequence[Any]]) -> None:
        self.function = function

    def execute(self, context: Context) -> None:
        for action in self.function(context):
            action.execute(context)


class LogInfo:
    def __init__(self, *, msg: Any) -> None:
        self.message = msg

    def execute(self, context: Context) -> None:
        sys.stdout.write(text(context, self.message) + "\n")


class Shutdown:
    def __init__(self) -> None:
        pass


class IncludeLaunchDescription:
    """What is given to the included file holds from then on, as in the genuine one, until a scoped group ends."""

    def __init__(self, launch_description_source: Any, *, launch_arguments: Iterable[tuple[str, Any]] = ()) -> None:
        self.source, self.arguments = launch_description_source, list(launch_arguments)

    def execute(self, context: Context) -> None:
        context.configurations |= {name: text(context, value) for name, value in self.arguments}
        for entity in load(Path(text(context, self.source))).entities:
            entity.execute(context)


class GroupAction:
    def __init__(self, actions: Iterable[Any], *, scoped: bool = True) -> None:
        self.actions, self.scoped = list(actions), scoped

    def execute(self, context: Context) -> None:
        before = dict(context.configurations)
        for action in self.actions:
            action.execute(context)
        if self.scoped:
            context.configurations = before


class Node:
    def __init__(
        self,
        *,
        package: str,
        executable: str,
        name: Any = None,
        namespace: Any = None,
        parameters: list[Any] | None = None,
        remappings: Sequence[tuple[Any, Any]] = (),
        arguments: Sequence[Any] = (),
        ros_arguments: Sequence[Any] | None = None,
        additional_env: Mapping[str, Any] | None = None,
        output: str = "log",
        on_exit: Shutdown | None = None,
    ) -> None:
        self.package, self.executable, self.name, self.namespace = package, executable, name, namespace
        self.parameters, self.remappings, self.arguments = parameters or [], remappings, arguments
        self.ros_arguments, self.additional_env, self.on_exit = ros_arguments, additional_env or {}, on_exit
        assert output in ("log", "screen", "both")

    def execute(self, context: Context) -> None:
        extra = {name: text(context, value) for name, value in self.additional_env.items()}
        environment = context.environment | extra
        context.processes.append(Process(tuple(self.command(context)), environment, self.on_exit is not None))

    def command(self, context: Context) -> Iterator[str]:
        """The command line, in the order in which launch_ros writes it."""
        program = package_prefix(context, self.package) / "lib" / self.package / self.executable
        if not os.access(program, os.X_OK):
            raise LookupError(f"there is no executable {program}")
        yield str(program)
        yield from (text(context, value) for value in self.arguments)
        if self.ros_arguments is not None:
            yield from ("--ros-args", *(text(context, value) for value in self.ros_arguments))
        yield "--ros-args"
        if self.name is not None:
            yield from ("-r", f"__node:={text(context, self.name)}")
        if self.namespace is not None:
            yield from ("-r", f"__ns:={self.absolute_namespace(context)}")
        for item in self.parameters:
            path = self.write_parameters(context, item) if isinstance(item, dict) else text(context, item)
            if not Path(path).is_file():
                raise FileNotFoundError(path)
            yield from ("--params-file", path)
        for source, target in self.remappings:
            yield from ("-r", f"{text(context, source)}:={text(context, target)}")

    def absolute_namespace(self, context: Context) -> str:
        return "/" + text(context, self.namespace).strip("/")

    def write_parameters(self, context: Context, values: dict[str, Any]) -> str:
        """A temporary file for these parameters, for this node only if its full name is known."""
        each = [item for value in values.values() for item in (value if isinstance(value, list) else [value])]
        if not each or not all(isinstance(item, str | bool) for item in each):
            raise TypeError(f"found parameters {values}, expected strings, booleans and lists of these")
        key = "/**"
        if self.name is not None and self.namespace is not None:
            key = f"{self.absolute_namespace(context).rstrip('/')}/{text(context, self.name)}"
        with tempfile.NamedTemporaryFile("w", prefix="launch_params_", delete=False) as file:
            yaml.dump({key: {"ros__parameters": values}}, file, default_flow_style=False)
        return file.name


MODULES = {
    "launch": [LaunchDescription],
    "launch.actions": [
        DeclareLaunchArgument,
        GroupAction,
        IncludeLaunchDescription,
        LogInfo,
        OpaqueFunction,
        Shutdown,
    ],
    "launch.substitutions": [EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution],
    "launch_ros": [],
    "launch_ros.actions": [Node],
    "launch_ros.substitutions": [FindPackageShare],
}


def load(path: Path) -> LaunchDescription:
    """The description that a launch file generates."""
    modules = {name: ModuleType(name) for name in MODULES}
    for name, members in MODULES.items():
        for member in members:
            setattr(modules[name], member.__name__, member)
    spec = importlib.util.spec_from_file_location("launch_file", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, modules):
        spec.loader.exec_module(module)
    description: LaunchDescription = module.generate_launch_description()
    return description


def evaluate(path: Path, arguments: Mapping[str, str], environment: Mapping[str, str]) -> list[Process]:
    """What `ros2 launch PATH name:=value ...` would start in an environment."""
    context = Context(dict(environment), dict(arguments))
    description = load(path)
    unknown = arguments.keys() - {item.name for item in description.entities if isinstance(item, DeclareLaunchArgument)}
    if unknown:
        raise RuntimeError(f"there are no launch arguments {sorted(unknown)}")
    with mock.patch.dict(os.environ, environment, clear=True):  # where a launch file looks packages up
        for entity in description.entities:
            entity.execute(context)
    return context.processes


def main() -> None:
    """`ros2 launch PACKAGE FILE name:=value ...` for a launch file that starts one process, which replaces this one."""
    verb, package, file, *arguments = sys.argv[1:]
    assert verb == "launch", f"this stand-in for ros2 knows only launch, not {verb}"
    environment = dict(os.environ)
    share = package_prefix(Context(environment, {}), package) / "share" / package
    pairs = dict(argument.split(":=", 1) for argument in arguments)
    (process,) = evaluate(share / "launch" / file, pairs, environment)
    os.execve(process.command[0], process.command, process.environment)


if __name__ == "__main__":
    main()
