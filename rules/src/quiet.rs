//! Calls into a library that may panic over what others wrote, without the panic's message: whoever calls tells it in our
//! own words.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

thread_local! {
    /// Whether a panic of this thread is expected and will be told by who catches it.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Returns what `work` does, `None` if it panics. What `work` changed must not be used after a panic.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_CAUGHT.try_with(Cell::get).unwrap_or(false) {
                before(panic);
            }
        }));
    });
    let before = IS_CAUGHT.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work)).ok();
    IS_CAUGHT.set(before);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_and_the_next_one_is_told_again() {
        assert_eq!(caught(|| 7), Some(7));
        assert_eq!(caught(|| -> u8 { panic!("of others") }), None);
        assert!(!IS_CAUGHT.get(), "what comes after is told");
        assert_eq!(caught(|| (caught(|| -> u8 { panic!("inner") }), IS_CAUGHT.get())), Some((None, true)));
    }
}
