//! Which programs the model engine explores.
