"""`desert-seg synth`: deserts made to order, from a scene described as data to geometry to a labelled frame."""
