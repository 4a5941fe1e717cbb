"""Images in files: OCI image layouts, and what `docker save` and `podman save` write."""
