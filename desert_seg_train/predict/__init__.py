"""Masks for images, folders and bags: `desert-seg predict`."""
