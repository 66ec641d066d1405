"""The chart, rendered by the real Helm engine and checked against Kubernetes' own schemas."""
