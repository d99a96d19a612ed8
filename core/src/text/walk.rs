//! How far a walk over the watched folders is.

use super::{Lang, Message};
use crate::{asset::WalkProgress, time};

const COUNTING: Message =
    Message::new("đang rà soát tệp: {}, đã quét {}", "looking through files: {} so far, {} scanned");
const GOING_ON: Message = Message::new(
    "đang rà soát tệp: {} trong khoảng {}, đã quét {}",
    "looking through files: {} of about {}, {} scanned",
);
const ENDED: Message =
    Message::new("đã rà soát {} tệp, quét {}, xong lúc {}", "looked through {} files, {} scanned, ended {}");

/// Says how far it is. Times are Vietnam time.
#[must_use]
pub fn progress(walk: &WalkProgress, lang: Lang) -> String {
    let WalkProgress { ended, looked, of, scanned, .. } = walk;
    match (ended, of) {
        (Some(at), _) => ENDED.with(lang, &[looked, scanned, &time::shown(*at)]),
        (None, 0) => COUNTING.with(lang, &[looked, scanned]),
        (None, of) => GOING_ON.with(lang, &[looked, of, scanned]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    #[test]
    fn a_walk_says_how_far_it_is_and_when_it_ended() {
        let begun = WalkProgress { looked: 40, scanned: 3, ..WalkProgress::begun(Timestamp::UNIX_EPOCH) };
        let counted = WalkProgress { of: 100, ..begun.clone() };
        let ended = WalkProgress { ended: Some(Timestamp::UNIX_EPOCH), ..counted.clone() };

        assert_eq!(progress(&begun, Lang::En), "looking through files: 40 so far, 3 scanned");
        assert_eq!(progress(&counted, Lang::Vi), "đang rà soát tệp: 40 trong khoảng 100, đã quét 3");
        assert_eq!(
            progress(&ended, Lang::En),
            "looked through 40 files, 3 scanned, ended 01/01/1970 07:00:00"
        );
    }
}
