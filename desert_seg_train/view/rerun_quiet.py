"""The one place that imports Rerun, and what keeps it and its viewer from reporting their use."""

from __future__ import annotations

import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from desert_seg.errors import DesertSegError

SETTINGS = {"RERUN": "on", "RERUN_STRICT": "1"}
"""Log whatever the shell says, and raise what is wrong."""


def load_rerun() -> Any:
    """Rerun's Python library, which reports nothing by itself.

    Raises:
        DesertSegError: It is not installed.
    """
    os.environ.update(SETTINGS)
    try:
        return import_module("rerun")
    except ImportError as error:
        raise DesertSegError(
            f"desert-seg view needs Rerun, which does not load ({error}); install it: pip install '.[view]'"
        ) from error


def viewer_program() -> Path:
    """The viewer that comes with the library."""
    return Path(str(import_module("rerun_cli").__file__)).with_name("rerun")


def quiet_environment(home: Path) -> dict[str, str]:
    """The variables of a viewer that reports nothing.

    There is no switch but a file among its settings, so it gets a folder of settings of its own, which has that file.

    Args:
        home: An empty folder, which has to last as long as the viewer.
    """
    settings = home / "rerun" / "analytics.json"
    settings.parent.mkdir()
    off = {"analytics_enabled": False, "analytics_id": "", "config_file_path": str(settings)}
    settings.write_text(json.dumps({**off, "data_dir_path": str(home / "analytics")}))
    return {**os.environ, "XDG_CONFIG_HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CACHE_HOME": str(home)}
