//! khien-rules
