"""Deformation fields: displacements in voxels, array axis order, pull-back.

A displacement u warps an image by `warped(x) = image(x + u(x))`; the map is φ = id + u.
Grids have their samples at cell centres, so a coarse grid covers the same field of view as a fine
one (`grid_sample(align_corners=False)`).
"""
