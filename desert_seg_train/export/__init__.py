"""From a checkpoint to a model artifact whose engines were compared with the network: `desert-seg export`."""
