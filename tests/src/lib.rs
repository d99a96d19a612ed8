//! khien-tests
