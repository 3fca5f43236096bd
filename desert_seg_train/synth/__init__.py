"""Deserts made to order: a scene described as data becomes geometry, then a labelled frame. Knows nothing of ROS."""
