"""The dashboard, the alerts and compose.yaml: checked by rule, and asked of a real Prometheus."""
