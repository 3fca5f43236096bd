"""Bags, drives and image messages, read and written without ROS."""
