//! Strangers, floods and hostile frames against the real server over real TLS, with limits small enough to reach.

mod abuse;
mod bodies;
mod served;
mod shares;
mod strangers;
mod transfers;
