//! The smallest program that has scan workers, for the tests of this crate.

fn main() -> std::process::ExitCode {
    khien_scan::worker::main()
}
