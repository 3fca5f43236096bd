"""Make docs/view.jpg, the window of `desert-seg view`: `xvfb-run python scripts/viewer_picture.py`.

Any display will do, and any Vulkan driver (without a GPU, Debian's mesa-vulkan-drivers): the viewer takes the picture.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from desert_seg_train.view.command import view  # noqa: E402
from desert_seg_train.view.config import ViewConfig  # noqa: E402
from desert_seg_train.view.rerun_quiet import quiet_environment, viewer_program  # noqa: E402

PATH = ROOT / "docs" / "view.jpg"
WINDOW = (1600, 1000)
FRAMES = 20


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        view(ViewConfig(ROOT / "sample_drive", ROOT / "models" / "light", folder / "drive.rrd", limit=FRAMES))
        size = "x".join(map(str, WINDOW))
        command = [str(viewer_program()), "--hide-welcome-screen", "--port", "auto", "--bind", "127.0.0.1"]
        command += ["--window-size", size, "--screenshot-to", str(folder / "view.png"), str(folder / "drive.rrd")]
        subprocess.run(command, env=quiet_environment(folder), check=True)
        picture = Image.open(folder / "view.png").convert("RGB").resize(WINDOW, Image.Resampling.LANCZOS)
    picture.save(PATH, quality=80, optimize=True)
    print(f"wrote {PATH}, {PATH.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
