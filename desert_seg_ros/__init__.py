"""desert_seg_ros: the robot's shell around the core. Importing it does not import rclpy; the node's modules do."""
