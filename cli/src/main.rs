//! khien
fn main() {}
