# The segmentation node on ROS 2 Jazzy, on the CPU. docs/integration.md says how to run it and how to add a GPU.
#
#     docker build -t desert_seg .
#     docker run --rm --net=host --ipc=host desert_seg image:=/my_camera/image_raw
FROM ros:jazzy-perception

SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# With vision_msgs the class names go out as LabelInfo, which Nav2's layer reads.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv ros-jazzy-vision-msgs \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/src
COPY LICENSE package.xml setup.cfg setup.py ./
COPY resource/ resource/
COPY config/ config/
COPY launch/ launch/
COPY models/ models/
COPY sample_drive/ sample_drive/
COPY desert_seg/ desert_seg/
COPY desert_seg_ros/ desert_seg_ros/
COPY desert_seg_train/ desert_seg_train/

# On top of ROS's Python, and with the numpy that ROS's messages were compiled against. `ros2 run` and `ros2 launch` look
# for executables in lib/PACKAGE, where pip puts none.
RUN python3 -m venv --system-site-packages /opt/desert_seg \
    && python3 -c "import numpy; print(f'numpy=={numpy.__version__}')" > /opt/desert_seg/constraints.txt \
    && /opt/desert_seg/bin/pip install --no-cache-dir --constraint /opt/desert_seg/constraints.txt ".[runtime]" \
    && mkdir /opt/desert_seg/lib/desert_seg_ros \
    && ln -s /opt/desert_seg/bin/{segment_node,desert-seg-benchmark} /opt/desert_seg/lib/desert_seg_ros/
ENV AMENT_PREFIX_PATH=/opt/desert_seg PATH=/opt/desert_seg/bin:$PATH
# All it writes is below /tmp, so the root can be read-only (docs/reliability.md).
ENV ROS_LOG_DIR=/tmp/ros XDG_CACHE_HOME=/tmp/cache

# An image whose node could not start is not made.
RUN . /opt/ros/jazzy/setup.bash \
    && python3 -c "import cv2, openvino, vision_msgs.msg, desert_seg_ros.node" \
    && ros2 launch desert_seg_ros segment.launch.py --show-args > /dev/null

# Shared memory of one user is closed to others, so this has to be the user of the camera driver, or --user.
USER 1000
WORKDIR /tmp
STOPSIGNAL SIGINT
ENTRYPOINT ["/bin/bash", "-c", "source /opt/ros/jazzy/setup.bash && exec ros2 launch desert_seg_ros segment.launch.py \"$@\"", "segment"]
