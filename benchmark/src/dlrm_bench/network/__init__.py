"""The model: layers of DLRM-DCNv2, and a plain forward to compare with."""
