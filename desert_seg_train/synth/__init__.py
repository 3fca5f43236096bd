"""`desert-seg synth`: procedural deserts, from a scene described as data to geometry to labelled frames."""
