//! khien-hub
fn main() {}
