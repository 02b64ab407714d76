"""Datasets of images as they are in their files: nothing turned, shuffled or left out."""

PLAIN = {"rotate": 0, "shuffle_pixels": False, "shuffle_labels": False, "fraction": 1.0, "seed": 0}
