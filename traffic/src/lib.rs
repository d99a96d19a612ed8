//! From frames to what happened on the wire: flows, what they carried, and what of it looks like an attack.
//!
//! ```text
//! frame ─► decode ─► flow (tables, streams) ─► application (DNS, TLS, HTTP, …) ─► Sink: Record, Job, Content
//!                                                                                   └─► detect, lists ─► Finding
//! ```
//! Pure: takes bytes and the time at which they were captured, never reads a clock, opens a socket or asks for chance. Agents
//! feed it from the kernel's ring, `khien pcap scan` from files: the same path for both. Takes any bytes: what is cut, odd
//! or hostile gives an answer that says so, never a panic, within named bounds.

pub mod application;
pub mod decode;
pub mod detect;
pub mod flow;
pub mod judge;
pub mod pcap;
pub mod sink;
