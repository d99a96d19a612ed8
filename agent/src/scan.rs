//! Which files are scanned, when, and what is told of them. The scanning itself is [`khien_scan`]'s.

mod again;
pub(crate) mod clean;
mod desk;
pub(crate) mod doubt;
pub(crate) mod files;
pub(crate) mod gate;
mod governor;
mod host;
mod large;
mod opening;
pub(crate) mod recent;
mod usage;

#[cfg(test)]
pub(crate) mod tests;
