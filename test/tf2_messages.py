"""tf2_msgs, which every ROS has and the wheels lack: built of its definition with the generators that they do bring."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

PACKAGE = "tf2_msgs"
MESSAGE = "TFMessage.msg"
LIBRARIES = [f"lib{PACKAGE}__rosidl_typesupport_{kind}_c.so" for kind in ("fastrtps", "introspection")]
NEEDED = (
    *(f"geometry_msgs__rosidl_{part}" for part in ("generator_c", "generator_py", "typesupport_c")),
    *("geometry_msgs__rosidl_typesupport_fastrtps_c", "rosidl_runtime_c", "rosidl_typesupport_c"),
    *("rosidl_typesupport_fastrtps_c", "rosidl_typesupport_fastrtps_cpp", "fastcdr", "stdc++"),
    *("geometry_msgs__rosidl_typesupport_introspection_c", "rosidl_typesupport_introspection_c"),
)
INSTALLED = importlib.util.find_spec(PACKAGE) is not None
"""Whether this machine's ROS brings it."""


def require_build() -> None:
    """Skip where there is nothing to build with."""
    for module in ("rosidl_generator_py", "rosidl_typesupport_fastrtps_c"):
        pytest.importorskip(module, reason="needs tf2_msgs, or the rosidl generators to build it with")
    if not shutil.which("gcc") or not Path(sysconfig.get_path("include"), "Python.h").is_file():
        pytest.skip("needs tf2_msgs, or gcc and Python's headers to build it with")


def build(folder: Path) -> None:
    """Build the package into a folder, which is then one for PYTHONPATH and for LD_LIBRARY_PATH."""
    from rosidl_generator_c.cli import GenerateC
    from rosidl_generator_py.cli import GeneratePython
    from rosidl_typesupport_c.cli import GenerateCTypesupport
    from rosidl_typesupport_fastrtps_c.cli import GenerateFastRTPSCTypesupport
    from rosidl_typesupport_introspection_c.cli import GenerateIntrospectionCTypesupport

    made, prefix = folder / PACKAGE, Path(sys.prefix)
    introspection = folder / "introspection" / PACKAGE  # some of its files have the names of others
    (made / "msg").mkdir(parents=True)
    (made / "__init__.py").touch()
    (made / "msg" / MESSAGE).write_text("geometry_msgs/TransformStamped[] transforms\n")
    generators = dict.fromkeys((GenerateC, GeneratePython, GenerateCTypesupport, GenerateFastRTPSCTypesupport), made)
    for generator, output in (generators | {GenerateIntrospectionCTypesupport: introspection}).items():
        generator("").generate(PACKAGE, [f"{made}:msg/{MESSAGE}"], [str(prefix / "share")], output)
    includes = [folder, introspection.parent, prefix / "include", *(prefix / "include").iterdir()]
    includes += [Path(sysconfig.get_path("include")), Path(np.get_include())]
    flags = ["-shared", "-fPIC", *(f"-I{path}" for path in includes)]
    flags += [f"-L{prefix / 'lib'}", f"-Wl,-rpath,{prefix / 'lib'},-rpath,{folder},--allow-shlib-undefined"]
    libraries = [f"-l{name}" for name in NEEDED]
    main = folder / LIBRARIES[0]
    compile_into(main, *(made / "msg").rglob("*.c*"), *flags, *libraries)
    compile_into(folder / LIBRARIES[1], *(introspection / "msg").rglob("*.c*"), main, *flags, *libraries)
    entry = made / f"_{PACKAGE}_s.ep.rosidl_typesupport_c.c"
    compile_into(made / f"{PACKAGE}_s__rosidl_typesupport_c.so", entry, main, *flags, *libraries)


def compile_into(output: Path, *arguments: object) -> None:
    command = ["gcc", "-w", "-o", str(output), f"-Wl,-soname,{output.name}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a built package importable here and in processes started from here."""
    monkeypatch.syspath_prepend(str(folder))
    for variable in ("PYTHONPATH", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(variable, os.pathsep.join(filter(None, (str(folder), os.environ.get(variable)))))
    for library in LIBRARIES:
        ctypes.CDLL(str(folder / library))  # for this process the variable comes too late
