//! Configuration: the node's own file, and the resources of the cluster.
