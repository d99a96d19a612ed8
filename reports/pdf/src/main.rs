//! khien-pdf
fn main() {}
