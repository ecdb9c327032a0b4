package task

// WellFormed is the quick look of Check.
var WellFormed = wellFormed
