"""HTTP: health and metrics in every process, `/v1` and `/docs` where the `api` role runs."""
