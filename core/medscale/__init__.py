"""medscale: how segmentation error falls as annotations grow."""

__version__ = "0.1.0"
