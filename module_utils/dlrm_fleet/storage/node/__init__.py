"""What runs on the storage node: store, pull, push, spool, visit."""
