//! The one seam between std and loom.
