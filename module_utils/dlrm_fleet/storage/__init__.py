"""Files between hosts and the storage node: transfers, keys, and the program both keep."""
