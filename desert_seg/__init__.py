"""desert_seg: the core that a robot runs. Frames in, class masks out; it knows nothing of ROS or of training."""

from desert_seg.quiet import be_quiet

be_quiet()
