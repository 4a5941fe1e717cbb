"""Catalogues: signed lists of images and kernels by name, and when to trust one."""
