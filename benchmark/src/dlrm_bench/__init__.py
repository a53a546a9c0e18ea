"""The DLRM-DCNv2 benchmark that runs inside the container; it knows nothing of what started it."""

__version__ = "0.1.0"
