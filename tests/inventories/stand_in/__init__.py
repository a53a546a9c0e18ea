"""The three clouds' APIs on this machine, in a network and mount namespace of their own."""
