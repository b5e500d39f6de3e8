"""Data sets whose images are made from known factors."""
