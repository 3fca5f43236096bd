"""From labelled folders to augmented training batches."""
