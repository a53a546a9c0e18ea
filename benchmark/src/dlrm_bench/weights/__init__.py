"""Weights on disk: MLCommons' snapshot, the tensors' names, the fp32 dump."""
