"""The data plane of CloudFront on one machine: verifies, caches, forwards."""
