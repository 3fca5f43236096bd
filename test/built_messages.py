"""Messages that every ROS has and the wheels lack: built of their definitions with the generators of the wheels."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import made_once

RUNTIME = ("rosidl_runtime_c", "fastcdr", "stdc++")
TYPESUPPORTS = ("rosidl_typesupport_c", "rosidl_typesupport_fastrtps_c", "rosidl_typesupport_introspection_c")


@dataclass(frozen=True)
class Package:
    """A package of messages.

    Attributes:
        name: The package's.
        messages: The definitions of its messages by their names.
        uses: The package that they take other messages from.
    """

    name: str
    messages: dict[str, str]
    uses: str

    @property
    def libraries(self) -> list[str]:
        """Its libraries, in the order in which they are loaded."""
        return [f"lib{self.name}__rosidl_typesupport_{kind}_c.so" for kind in ("fastrtps", "introspection")]

    @property
    def needed(self) -> list[str]:
        """The libraries that these are linked with."""
        parts = ("rosidl_generator_c", "rosidl_generator_py", *TYPESUPPORTS)
        return [*(f"{self.uses}__{part}" for part in parts), *TYPESUPPORTS, "rosidl_typesupport_fastrtps_cpp", *RUNTIME]


TF2_MSGS = Package("tf2_msgs", {"TFMessage": "geometry_msgs/TransformStamped[] transforms\n"}, "geometry_msgs")

VISION_MSGS = Package(
    "vision_msgs",
    {
        "VisionClass": "uint16 class_id\nstring class_name\n",
        "LabelInfo": "std_msgs/Header header\nVisionClass[] class_map\nfloat32 threshold\n",
    },
    "std_msgs",
)


def provide(package: Package, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a package importable in a test and in the processes that it starts; skip where that cannot be done."""
    if importlib.util.find_spec(package.name) is not None:  # this machine's ROS brings it
        return
    for module in ("rosidl_generator_py", "rosidl_typesupport_fastrtps_c", "catkin_pkg"):
        pytest.importorskip(module, reason=f"needs {package.name}, or the rosidl generators to build it with")
    if not shutil.which("gcc") or not Path(sysconfig.get_path("include"), "Python.h").is_file():
        pytest.skip(f"needs {package.name}, or gcc and Python's headers to build it with")
    folder = made_once(tmp_path_factory, package.name, lambda path: build(package, path))
    monkeypatch.syspath_prepend(str(folder))
    for variable in ("PYTHONPATH", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(variable, os.pathsep.join(filter(None, (str(folder), os.environ.get(variable)))))
    for library in package.libraries:
        ctypes.CDLL(str(folder / library))  # for this process the variable comes too late


def build(package: Package, folder: Path) -> None:
    """Build a package into a folder, which is then one for PYTHONPATH and for LD_LIBRARY_PATH."""
    from rosidl_generator_c.cli import GenerateC
    from rosidl_generator_py.cli import GeneratePython
    from rosidl_typesupport_c.cli import GenerateCTypesupport
    from rosidl_typesupport_fastrtps_c.cli import GenerateFastRTPSCTypesupport
    from rosidl_typesupport_introspection_c.cli import GenerateIntrospectionCTypesupport

    made, prefix = folder / package.name, Path(sys.prefix)
    introspection = folder / "introspection" / package.name  # some of its files have the names of others
    (made / "msg").mkdir(parents=True)
    (made / "__init__.py").touch()
    for name, definition in package.messages.items():
        (made / "msg" / f"{name}.msg").write_text(definition)
    definitions = [f"{made}:msg/{name}.msg" for name in package.messages]
    generators = dict.fromkeys((GenerateC, GeneratePython, GenerateCTypesupport, GenerateFastRTPSCTypesupport), made)
    for generator, output in (generators | {GenerateIntrospectionCTypesupport: introspection}).items():
        generator("").generate(package.name, definitions, [str(prefix / "share")], output)
    includes = [folder, introspection.parent, prefix / "include", *(prefix / "include").iterdir()]
    includes += [Path(sysconfig.get_path("include")), Path(np.get_include())]
    flags = ["-shared", "-fPIC", *(f"-I{path}" for path in includes)]
    flags += [f"-L{prefix / 'lib'}", f"-Wl,-rpath,{prefix / 'lib'},-rpath,{folder},--allow-shlib-undefined"]
    libraries = [f"-l{name}" for name in package.needed]
    main, of_introspection = (folder / library for library in package.libraries)
    compile_into(main, *(made / "msg").rglob("*.c*"), *flags, *libraries)
    compile_into(of_introspection, *(introspection / "msg").rglob("*.c*"), main, *flags, *libraries)
    entry = made / f"_{package.name}_s.ep.rosidl_typesupport_c.c"
    compile_into(made / f"{package.name}_s__rosidl_typesupport_c.so", entry, main, *flags, *libraries)


def compile_into(output: Path, *arguments: object) -> None:
    command = ["gcc", "-w", "-o", str(output), f"-Wl,-soname,{output.name}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
