"""Catalogues: signed lists of images and kernels by name, and what makes one of them trustworthy."""
