"""Measures of images, of sets of images, and of videos."""
