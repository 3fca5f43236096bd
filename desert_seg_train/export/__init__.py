"""`desert-seg export`: a checkpoint becomes a model artifact whose engines were compared with the network."""
