"""Files of parameters that hold none for the node are named; ROS says nothing of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from desert_seg_ros.parameter_files import unused_parameter_files


@pytest.mark.parametrize(
    ("names", "node", "is_used"),
    [
        ("segment", "/segment", True),
        ("/segment", "/segment", True),
        ("/**", "/front/segment", True),
        ("/**/segment", "/segment", True),
        ("/*/segment", "/front/segment", True),
        ("front: segment", "/front/segment", True),
        ("segmentation", "/segment", False),
        ("segment", "/front/segment", False),
        ("/*/segment", "/segment", False),
        ("/segment", "/segment_2", False),
    ],
)
def test_a_file_of_parameters_is_used_where_a_name_in_it_fits_the_node(
    tmp_path: Path, names: str, node: str, is_used: bool
) -> None:
    path, indent, text = tmp_path / "params.yaml", "", ""
    for name in names.split(": "):
        text, indent = f"{text}{indent}{name}:\n", f"{indent}  "
    path.write_text(f"{text}{indent}ros__parameters:\n{indent}  tta: flip\n")
    found = unused_parameter_files(["--ros-args", "--params-file", str(path)], node)
    assert (found == []) == is_used
    assert is_used or f"this node is {node}, so none of them is used; name it /** or {node} there" in found[0]


@pytest.mark.parametrize("content", ["", "segment: 1\n", "- a\n", "a: [\n"])
def test_what_is_no_file_of_parameters_is_left_to_ros(tmp_path: Path, content: str) -> None:
    (tmp_path / "params.yaml").write_text(content)
    for name in ("params.yaml", "missing.yaml"):
        assert unused_parameter_files(["--ros-args", "--params-file", str(tmp_path / name)], "/segment") == []
