"""Where edges take their route tables from, when not from the driver itself: etcd, Consul, a folder."""
