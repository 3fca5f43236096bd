"""Bytes written to memory per frame outside the network, calculated from sizes, not measured.

Shape letters: K classes, h, w network input size, H, W camera size.
"""

from __future__ import annotations

from collections.abc import Iterator

from speed import names
from speed.figures import Figure


def figures_of(num_classes: int, network: tuple[int, int], camera: tuple[int, int]) -> Iterator[Figure]:
    """Figures for the table: frame to mask and colour mask, ours and the script's; and what messages add in the node.

    Args:
        num_classes: K.
        network: (h, w).
        camera: (H, W).
    """
    inside, pixels = network[0] * network[1], camera[0] * camera[1]
    planes = 4 * num_classes
    ours = (
        (0 if network == camera else 3 * inside)  # resize, uint8
        + planes * pixels  # scores at camera size, a float32 plane at a time
        + (num_classes - 1) * (1 + 4 + 2) * pixels  # running maximum: compare, maximum, index where it wins
        + 2 * pixels  # mask: unknown, then class 0
        + 3 * pixels  # picture
    )
    script = (
        3 * 3 * 8 * pixels  # / 255, - mean, / std: a float64 image each
        + 3 * 8 * inside  # resize, float64
        + 3 * 4 * inside  # to a float32 tensor
        + planes * inside  # scores at network size
        + 2 * planes * pixels  # scores at camera size, softmax
        + (8 + 1) * pixels  # argmax, int64, to uint8
        + 3 * pixels  # picture
    )
    yield Figure(names.TRAFFIC, "ours", (ours,), "bytes", once=True)
    yield Figure(names.TRAFFIC, "straightforward script", (script,), "bytes", once=True)
    yield Figure(names.TRAFFIC, "ours / straightforward script", (ours / script,), once=True)
    # From DDS into the message's array, which is not copied; mask into a message's array, and from there to DDS.
    yield Figure(names.TRAFFIC, "messages in the node, rgb8 in, mono8 out", ((3 + 2) * pixels,), "bytes", once=True)
