//! Which files are scanned, when, and what is told of them. The scanning itself is [`khien_scan`]'s.

pub(crate) mod clean;
mod desk;
pub(crate) mod files;
pub(crate) mod gate;
mod governor;
mod large;
pub(crate) mod recent;

#[cfg(test)]
pub(crate) mod tests;
