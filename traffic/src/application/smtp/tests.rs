use khien_core::traffic::Smtp;
use proptest::prelude::*;

use super::*;
use crate::application::{Carried, tls::sample::CURL_1_2};

const UP: Direction = Direction::ToServer;
const DOWN: Direction = Direction::ToClient;
const LETTER: &[u8] = b"Subject: hello\r\nContent-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\nUEsDBGZpbGUgd2l0\r\naCBieXRlcw==\r\n.\r\n";

#[test]
fn a_letter_is_told_with_its_envelope_and_attachments() {
    let mut wire = Wire::greeted();
    wire.envelope("<a@b.example> SIZE=5", &["<c@d.example>", "e@f.example"]);
    wire.letter(LETTER);

    let letters = wire.letters();
    assert_eq!(letters.len(), 1);
    let texts: Vec<_> = [&letters[0].helo, &letters[0].from, &letters[0].subject].map(shown).to_vec();
    assert_eq!(texts, ["client.example", "a@b.example", "hello"]);
    assert_eq!(listed(&letters[0].to), ["c@d.example", "e@f.example"]);
    assert_eq!(listed(&letters[0].attachments), ["a.zip"]);
    assert_eq!(wire.files()[0].bytes, b"PK\x03\x04file with bytes");
    assert!(wire.files()[0].whole);
    assert!(wire.scanned().contains("\r\n\r\nPK\u{3}\u{4}file with bytes"), "{}", wire.scanned());
}

#[test]
fn each_letter_of_a_session_is_told_with_its_own_envelope() {
    let mut wire = Wire::greeted();
    for n in 1..=2 {
        wire.envelope(&format!("<a{n}@b.example>"), &["<c@d.example>"]);
        wire.letter(format!("Subject: {n}\r\n\r\ntext\r\n.\r\n").as_bytes());
    }
    wire.say(UP, b"QUIT\r\n");
    wire.end();

    let told: Vec<_> =
        wire.letters().iter().map(|l| (shown(&l.from), shown(&l.subject), l.to.len())).collect();
    assert_eq!(told, [1, 2].map(|n| (format!("a{n}@b.example"), n.to_string(), 1)));
    assert_eq!(wire.out.iter().filter(|s| matches!(s, Said::Exchange)).count(), 2);
}

#[test]
fn leading_dots_are_taken_off_and_only_a_lone_one_ends_the_letter() {
    let mut wire = Wire::greeted();
    wire.envelope("<>", &["<c@d.example>"]);
    wire.letter(b"Content-Type: a/b\r\n\r\n..one\r\n.two\r\n. \r\n.\rx and more\r\n.\r\nNOOP\r\n");

    assert_eq!(wire.files()[0].bytes, b".one\r\ntwo\r\n \r\n\rx and more\r\n");
    assert!(wire.scanned().ends_with("NOOP\r\n"));
}

#[test]
fn pieces_of_bdat_make_one_letter() {
    let mut wire = Wire::greeted();
    wire.envelope("<a@b.example>", &["<c@d.example>"]);
    wire.say(
        UP,
        b"BDAT 30\r\nContent-Type: a/b\r\n\r\nsome of\r\nBDAT 16 LAST\r\n it\r\n.\r\nand restQUIT\r\n",
    );
    wire.say(DOWN, b"250 ok\r\n250 ok\r\n");

    assert_eq!(wire.files()[0].bytes, b"some of\r\n it\r\n.\r\nand rest");
    assert_eq!(wire.letters().len(), 1);
}

#[test]
fn behind_starttls_the_handshake_is_read_and_nothing_else() {
    let mut wire = Wire::greeted();
    wire.say(UP, b"STARTTLS\r\n");
    wire.say(DOWN, b"220 go\r\n");
    wire.say(UP, CURL_1_2.0);
    wire.say(DOWN, CURL_1_2.1);

    assert!(wire.session.is_done());
    assert!(wire.out.iter().any(|s| matches!(s, Said::Tls(tls) if tls.ja4.is_some())));
    assert_eq!(
        wire.letters().iter().map(|l| (shown(&l.helo), l.tls)).collect::<Vec<_>>(),
        [("client.example".to_owned(), true)]
    );
    wire.end();
    assert_eq!(wire.letters().len(), 1);
}

#[test]
fn starttls_that_is_refused_or_not_followed_by_tls_hides_no_letter() {
    for answer in [&b"502 no\r\n"[..], b"220 go\r\n", b""] {
        let mut wire = Wire::greeted();
        wire.say(UP, b"STARTTLS\r\n");
        wire.say(DOWN, answer);
        wire.envelope("<a@b.example>", &["<c@d.example>"]);
        wire.letter(LETTER);

        assert!(!wire.session.is_done());
        assert_eq!(wire.files().len(), 1);
    }
}

#[test]
fn a_greeting_is_no_answer_to_a_client_that_did_not_wait_for_it() {
    let mut wire = Wire::new();
    wire.say(UP, b"EHLO x\r\nSTARTTLS\r\n");
    wire.say(DOWN, b"220-mail.example\r\n220 ESMTP\r\n250 x\r\n502 no\r\n");
    wire.envelope("<a@b.example>", &["<c@d.example>"]);
    wire.letter(LETTER);

    assert_eq!(wire.letters().len(), 1);
}

#[test]
fn credentials_are_not_passed_on() {
    let mut wire = Wire::greeted();
    wire.say(UP, b"AUTH PLAIN AHNlY3JldAA=\r\n");
    wire.say(DOWN, b"535 no\r\n");
    wire.say(UP, b"AUTH LOGIN\r\n");
    wire.say(DOWN, b"334 VXNlcm5hbWU6\r\n");
    wire.say(UP, b"c2VjcmV0\r\n");
    wire.say(DOWN, b"334 UGFzc3dvcmQ6\r\n");
    wire.say(UP, b"c2VjcmV0\r\n");
    wire.say(DOWN, b"235 ok\r\n");
    wire.envelope("<a@b.example>", &["<c@d.example>"]);
    wire.letter(LETTER);

    let scanned = wire.scanned();
    assert!(
        scanned.contains("AUTH\r\n") && !scanned.contains("c2VjcmV0") && !scanned.contains("AHNl"),
        "{scanned}"
    );
    assert_eq!(wire.letters().len(), 1);
}

#[test]
fn credentials_of_a_client_that_does_not_wait_are_not_passed_on() {
    let mut wire = Wire::new();
    wire.say(UP, b"EHLO x\r\nAUTH LOGIN\r\n");
    wire.say(DOWN, b"220 mail.example ESMTP\r\n250 AUTH LOGIN\r\n334 VXNlcm5hbWU6\r\n");
    wire.say(UP, b"c2VjcmV0\r\n");

    assert!(!wire.scanned().contains("c2VjcmV0"), "{}", wire.scanned());
}

#[test]
fn data_that_is_refused_leads_back_to_commands_but_a_refused_recipient_before_it_does_not() {
    let mut wire = Wire::greeted();
    wire.say(UP, b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@f.example>\r\nDATA\r\n");
    wire.say(DOWN, b"250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n");
    wire.say(UP, LETTER);
    assert_eq!(wire.letters().len(), 1);

    wire.say(DOWN, b"250 taken\r\n");
    wire.say(UP, b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
    wire.say(DOWN, b"250 ok\r\n550 no\r\n503 no\r\n");
    wire.say(UP, b"RSET\r\nNOOP\r\n");
    wire.end();
    assert_eq!(wire.letters().len(), 1);
}

#[test]
fn what_a_client_that_does_not_wait_did_not_get_hides_no_letter() {
    let envelope = "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n";
    let hello = String::from_utf8_lossy(&[22, 3, 1, 0, 4, 1, 0, 0, 0]).into_owned();
    for (before, answers) in [
        ("AUTH X\r\n".to_owned(), "503 no\r\n"),
        ("MAIL FROM:<a@b.example>\r\nDATA\r\n\r\n".to_owned(), "250 ok\r\n503 no\r\n500 what\r\n"),
        ("BDAT 99999999 LAST\r\n".to_owned(), "502 no\r\n"),
        (format!("STARTTLS\r\n{hello}\r\n"), "502 no\r\n500 what\r\n"),
    ] {
        let mut wire = Wire::greeted();
        wire.say(UP, format!("{before}{envelope}DATA\r\n").as_bytes());
        wire.say(DOWN, format!("{answers}250 ok\r\n250 ok\r\n354 go\r\n").as_bytes());
        wire.say(UP, LETTER);
        wire.say(DOWN, b"250 taken\r\n");

        assert_eq!(wire.files().len(), 1, "{before}");
        assert_eq!(
            wire.letters().iter().map(|l| (shown(&l.from), l.tls)).collect::<Vec<_>>(),
            [("a@b.example".to_owned(), false)],
            "{before}"
        );
        assert_eq!(wire.session.odd(), 0, "{before}");
    }
}

#[test]
fn what_was_taken_for_granted_and_is_refused_is_odd() {
    let mut wire = Wire::greeted();
    wire.say(UP, b"MAIL FROM:<a@b.example>\r\n");
    wire.say(DOWN, b"250 ok\r\n");
    wire.say(UP, &[b"DATA\r\n".as_slice(), &b"Subject: x\r\n".repeat(4_000)].concat());
    assert!(wire.session.held() < 128 << 10);
    wire.say(DOWN, b"503 no\r\n");
    assert_eq!(wire.session.odd(), 1);

    wire.envelope("<a@b.example>", &["<c@d.example>"]);
    wire.letter(LETTER);
    assert_eq!(wire.files().len(), 1);
}

#[test]
fn a_chunk_that_is_refused_is_no_command() {
    let mut wire = Wire::greeted();
    wire.say(UP, b"MAIL FROM:<a@b.example>\r\nBDAT 6 LAST\r\nDATA\r\nNOOP\r\n");
    wire.say(DOWN, b"250 ok\r\n503 no\r\n");
    wire.say(DOWN, b"250 ok\r\n");
    wire.envelope("<a@b.example>", &["<c@d.example>"]);
    wire.letter(LETTER);

    assert_eq!((wire.files().len(), wire.session.odd()), (1, 0));
}

#[test]
fn answers_that_nobody_sees_delay_a_letter_and_no_more() {
    let mut wire = Wire::greeted();
    wire.say(UP, b"MAIL FROM:<a@b.example>\r\nDATA\r\n");
    wire.say(UP, LETTER);
    assert_eq!(wire.letters().len(), 0);
    wire.session.lost(DOWN, 20, &mut wire.out);

    assert_eq!((wire.letters().len(), wire.files().len()), (1, 1));
}

#[test]
fn a_dot_before_a_bare_line_feed_is_odd_and_ends_a_letter_only_if_the_server_takes_it() {
    let smuggled =
        b"Subject: 1\r\n\r\ntext\n.\nMAIL FROM:<evil@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n";
    let mut wire = Wire::greeted();
    wire.envelope("<a@b.example>", &["<c@d.example>"]);
    wire.letter(smuggled);
    assert_eq!((wire.letters().len(), wire.session.odd()), (0, 1));

    let mut wire = Wire::greeted();
    wire.envelope("<a@b.example>", &["<c@d.example>"]);
    wire.letter(&smuggled[..21]);
    wire.say(DOWN, b"250 taken\r\n");
    assert_eq!(wire.letters().len(), 1);
}

#[test]
fn a_session_that_ends_early_is_told_as_far_as_it_came() {
    let mut wire = Wire::greeted();
    wire.envelope("<a@b.example>", &["<c@d.example>"]);
    wire.letter(&LETTER[..LETTER.len() - 9]);
    wire.end();

    assert_eq!((wire.letters().len(), shown(&wire.letters()[0].subject)), (1, "hello".to_owned()));
    assert!(!wire.files()[0].whole);

    let mut wire = Wire::greeted();
    wire.end();
    assert_eq!(shown(&wire.letters()[0].helo), "client.example");
}

#[test]
fn bytes_lost_in_a_letter_leave_it_cut_and_the_next_one_whole() {
    let mut wire = Wire::greeted();
    wire.envelope("<a@b.example>", &["<c@d.example>"]);
    wire.letter(&LETTER[..LETTER.len() - 9]);
    wire.session.lost(UP, 9, &mut wire.out);
    wire.say(DOWN, b"250 taken\r\n");
    wire.envelope("<a@b.example>", &["<c@d.example>"]);
    wire.letter(LETTER);

    assert_eq!(wire.files().iter().map(|f| f.whole).collect::<Vec<_>>(), [false, true]);
    assert_eq!(wire.letters().len(), 2);
}

#[test]
fn many_recipients_and_endless_lines_are_bounded() {
    let mut wire = Wire::greeted();
    wire.envelope("<a@b.example>", &vec!["<c@d.example>"; 5000]);
    (0..100_000).for_each(|_| wire.say(UP, b"x"));
    assert!(wire.session.held() < 64 << 10);
    wire.say(UP, b"\r\n");
    wire.letter(LETTER);

    assert_eq!(wire.letters()[0].to.len(), MAX_LISTED);
}

proptest! {
    #[test]
    fn any_segmentation_gives_the_same(cuts: Vec<prop::sample::Index>, text in "(\\.|\r|\n|\r\n|[a-z ]){0,30}") {
        let said = [&b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: s\r\nContent-Type: a/b\r\n\r\n"[..], text.as_bytes(), LETTER, b"QUIT\r\n"].concat();
        let mut at: Vec<_> = cuts.iter().map(|c| c.index(said.len() + 1)).chain([0, said.len()]).collect();
        at.sort_unstable();
        let (mut whole, mut parts) = (Wire::new(), Wire::new());
        whole.say(UP, &said);
        at.windows(2).for_each(|w| parts.say(UP, &said[w[0]..w[1]]));
        whole.end();
        parts.end();
        prop_assert_eq!(whole.letters(), parts.letters());
        prop_assert_eq!(whole.files(), parts.files());
        prop_assert_eq!(whole.scanned(), parts.scanned());
    }

    #[test]
    fn any_bytes_are_taken(parts in prop::collection::vec((any::<bool>(), any::<Vec<u8>>(), any::<bool>(), 0usize..6), 0..9)) {
        let mut wire = Wire::new();
        for (is_up, bytes, is_lost, head) in parts {
            let heads: [&[u8]; 6] = [b"", b"\r\nDATA\r\n", b"\r\nBDAT 99\r\n", b"\r\nAUTH x\r\n", b"\r\n354 \r\n", b"\r\n.\r\n"];
            let direction = if is_up { UP } else { DOWN };
            wire.say(direction, heads[head]);
            wire.say(direction, &bytes);
            if is_lost {
                wire.session.lost(direction, bytes.len() as u64, &mut wire.out);
            }
        }
        wire.end();
    }
}

/// A session, and what was said of it.
struct Wire {
    session: Session,
    out: Vec<Said>,
}

impl Wire {
    fn new() -> Self {
        Self { session: Session::new(Wants::ALL), out: Vec::new() }
    }

    fn greeted() -> Self {
        let mut wire = Self::new();
        wire.say(DOWN, b"220 mail.example ESMTP\r\n");
        wire.say(UP, b"EHLO client.example\r\n");
        wire.say(DOWN, b"250-mail.example\r\n250 STARTTLS\r\n");
        wire
    }

    fn envelope(&mut self, from: &str, to: &[&str]) {
        self.say(UP, format!("MAIL FROM:{from}\r\n").as_bytes());
        self.say(DOWN, b"250 ok\r\n");
        for to in to {
            self.say(UP, format!("rcpt to: {to}\r\n").as_bytes());
            self.say(DOWN, b"250 ok\r\n");
        }
    }

    fn letter(&mut self, text: &[u8]) {
        self.say(UP, b"DATA\r\n");
        self.say(DOWN, b"354 go\r\n");
        self.say(UP, text);
    }

    fn say(&mut self, direction: Direction, bytes: &[u8]) {
        self.session.take(direction, bytes, Timestamp::UNIX_EPOCH, &mut self.out);
    }

    fn end(&mut self) {
        self.session.end(Timestamp::UNIX_EPOCH, &mut self.out);
    }

    fn letters(&self) -> Vec<&Smtp> {
        self.out.iter().filter_map(|s| if let Said::Smtp(smtp) = s { Some(&**smtp) } else { None }).collect()
    }

    fn files(&self) -> Vec<&Carried> {
        self.out.iter().filter_map(|s| if let Said::File(file) = s { Some(&**file) } else { None }).collect()
    }

    /// What is scanned of what the client sent.
    fn scanned(&self) -> String {
        let body = |s: &Said| match s {
            Said::Body { direction: UP, bytes, .. } => Some(bytes.clone()),
            _ => None,
        };
        String::from_utf8_lossy(&self.out.iter().filter_map(body).flatten().collect::<Vec<_>>()).into_owned()
    }
}

fn shown(text: &Option<Untrusted>) -> String {
    text.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn listed(texts: &[Untrusted]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}
