"""The stores there are: one line each, the kind and where its connection is; none is imported before it is named."""

BACKENDS = {
    "directory": "gopub.store.backends.directory:Directory",
    "s3": "gopub.store.backends.s3:S3",
}
