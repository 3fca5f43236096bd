"""config/foxglove.json shows what the node publishes."""

import json

from conftest import ROOT

from desert_seg_ros.topics import CLOUDS, IMAGES

LAYOUT = json.loads((ROOT / "config" / "foxglove.json").read_text())
CAMERA = "/camera/image_raw"


def panels(layout):
    """The panels of a layout: it is divided in two, again and again."""
    return [layout] if isinstance(layout, str) else [*panels(layout["first"]), *panels(layout["second"])]


def test_every_panel_is_in_the_window_once_and_has_settings():
    assert sorted(panels(LAYOUT["layout"])) == sorted(LAYOUT["configById"])


def test_pictures_clouds_and_diagnostics_are_topics_of_the_node():
    pictures, clouds, status = set(), set(), set()
    for settings in LAYOUT["configById"].values():
        pictures |= {settings["imageMode"]["imageTopic"]} if "imageMode" in settings else set()
        clouds |= set(settings.get("topics", ()))
        status |= {settings["topicToRender"]} if "topicToRender" in settings else set()
    assert pictures - {CAMERA} < {f"/segment/{name}" for name in IMAGES}
    assert CAMERA in pictures
    assert CAMERA in (ROOT / "config" / "desert_seg.rviz").read_text()
    assert clouds == {f"/segment/{name}" for name in CLOUDS}
    assert status == {"/diagnostics"}
