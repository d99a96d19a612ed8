//! What may stand right before and after a phrase, and between its syllables, in text of one byte a unit.
//!
//! The classes are kept small on purpose: the compiler looks for the literals with which an expression can begin, and
//! two large classes in a row cost it milliseconds.

/// Before: anything but an ASCII letter or digit, or an escape that ends in one.
pub(super) const LEFT: &str = r"(^|[^0-9a-z]|[%\\][0-9a-fnrtu][0-9a-f]{0,4})";

/// After: the end, a byte that continues no Vietnamese word, or an escape of such a byte. The letters that Vietnamese
/// adds to ASCII begin with C3 to C6, CC, CD or E1 in UTF-8, and as entities with a vowel or `d`.
pub(super) const RIGHT: &str = concat!(
    r"([\s!-$\x27-.0-@\[\]-`{-~\x00\xC2\xE2\xE3\xEF\xF0]|\/|$",
    r"|&([bcf-hj-np-tv-xz]|amp|#0*(32|34|39|160|173|82[0-9]+);|#x0*(20|22|27|a0|ad|20[0-9a-f]+);)",
    r"|%(25)?([0-7]|c2|e2|ef|f0)",
    r#"|\\([nrt"\/]|u(00[0-3ab]|20)))"#,
);

/// One thing that may stand between syllables: blanks, hyphens, nothing that is seen, a tag without attributes.
const BLANK: &str = concat!(
    r"[\s\-_+.]|\xC2[\xA0\xAD]|\xE2\x80[\x80-\x95\xAF]|\xE2\x81\xA0|\xEF\xBB\xBF|\xE3\x80\x80",
    r"|&(nbsp|shy|zwnj|ensp|emsp);?",
    r"|&#0*(9|10|13|32|45|95|160|173|8203|8204|8205|8209|8211|8239|8288|65279);?",
    r"|&#x0*(9|a|d|20|2d|5f|a0|ad|200[0-9a-f]|201[0-5]|202f|2060|feff);?",
    r"|%(25)?(09|0a|0d|20|2b|2d|5f|c2%(25)?a0|c2%(25)?ad|e2%(25)?80%(25)?8[0-9a-f]|ef%(25)?bb%(25)?bf)",
    r"|(\\|%)u(0020|00a0|00ad|002d|200[0-9a-f]|202f|feff)|\\[nrt]",
    r"|<\/?(b|i|u|em|strong|span)>|<w?br ?\/?>",
);

/// What may stand between letters and is not seen.
pub(super) const UNSEEN: &str = r"(\xE2\x80[\x8B-\x8D]|\xC2\xAD|&(shy|zwnj|#173|#8203|#xad|#x200b);?)?";

/// Between two syllables: up to twelve such things, and none only if syllables may touch.
pub(super) fn between(joined: bool) -> String {
    format!("({BLANK}){{{},12}}", u8::from(!joined))
}
