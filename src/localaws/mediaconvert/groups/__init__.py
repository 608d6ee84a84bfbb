"""How encoded tracks become an output group: segments, manifests, thumbnails, final names."""
