"""Artifacts, manifests, digests, atomic writes, the lock of a work folder."""
