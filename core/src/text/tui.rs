//! Words of the terminal UI.
