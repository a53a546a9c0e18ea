"""Servers that speak AWS's and Google's wire protocols, with faults on demand."""
