"""`desert-seg read-labels`: frames corrected in labelme become a labelled folder."""
