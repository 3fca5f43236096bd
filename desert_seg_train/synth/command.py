"""`desert-seg synth`: render labelled frames or a drive, and optionally pack a drive into a bag.

The one module of this package that knows of bags; the renderer does not.
"""

from __future__ import annotations

from desert_seg.errors import DataError
from desert_seg.recordings.pack import pack_drive
from desert_seg_train.synth.config import SynthConfig
from desert_seg_train.synth.dataset import render


def synth(config: SynthConfig) -> None:
    """Render, pack, and print where everything is.

    Raises:
        DataError: An option is invalid, or an existing file would be overwritten.
        DesertSegError: The machine has no OpenGL.
    """
    if config.bag is not None and not config.drive:
        raise DataError("a bag holds a drive; give --drive too, or leave out --bag")
    done = render(config)
    there = f", {done.num_there} of them there already" if done.num_there else ""
    print(f"{done.num_frames} frames in {done.folder}{there}")
    if config.bag is not None:
        pack_drive(done.folder, config.bag, config.hz, config.bag_mb)
        print(f"wrote {config.bag}")
