"""`desert-seg label`: the frames of a recording that are worth labelling, each with a proposed mask."""
