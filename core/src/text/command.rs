//! Words of the commands.
