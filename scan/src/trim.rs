//! Gives memory that was freed back to the system.
#![allow(unsafe_code, reason = "asks the C library")]

/// Gives back what the allocator keeps of memory that was freed. Reading a pack takes many times what stays of it, and
/// the agent lives for months afterwards. Does nothing where the C library has no such call.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number, and may be called by any thread at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
