use super::{
    super::sample::{
        documents::{document, encrypted},
        random,
    },
    *,
};

/// Kinds whose parts name each other.
const KINDS: [&str; 10] = ["docx", "streamed", "pdf", "jpg", "png", "one_chunk", "doc", "mp4", "db", "rtf"];
/// The size of a usual document.
const SIZE: usize = 300_000;

impl Source for Vec<u8> {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, at: u64, length: usize) -> Vec<u8> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        rest[..rest.len().min(length)].to_vec()
    }
}

fn seeds() -> impl Iterator<Item = u64> {
    (1..=20_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[test]
fn whole_documents_fit_their_kinds_however_random_their_content_is() {
    for kind in KINDS {
        for size in [20_000, SIZE] {
            let whole = document(kind, size);
            assert!(seeds().all(|seed| !is_broken(&whole, seed)), "{kind} {size}");
        }
    }
}

#[test]
fn what_is_encrypted_behind_its_head_does_not_fit() {
    for kind in KINDS {
        for from in [4_096, 16_384, 65_536] {
            let rest = encrypted(document(kind, SIZE), std::iter::once(from..usize::MAX));
            assert!(seeds().all(|seed| is_broken(&rest, seed)), "{kind} {from}");
        }
    }
}

#[test]
fn what_is_encrypted_between_a_whole_head_and_a_whole_end_does_not_fit() {
    for kind in ["docx", "streamed", "pdf", "jpg", "png", "doc", "db", "rtf"] {
        let whole = document(kind, SIZE);
        let end = whole.len() - 5_000;
        let between = encrypted(whole, std::iter::once(5_000..end));
        assert!(seeds().all(|seed| is_broken(&between, seed)), "{kind}");
    }
}

#[test]
fn what_is_encrypted_every_so_often_does_mostly_not_fit() {
    for kind in ["jpg", "png", "db", "rtf"] {
        let stripes = (1..40).map(|n| n * 16_384..n * 16_384 + 8_192);
        let striped = encrypted(document(kind, SIZE), stripes);
        let seen = seeds().filter(|seed| is_broken(&striped, *seed)).count();
        assert!(seen >= 15, "{kind}: {seen} of 20");
    }
}

#[test]
fn what_is_not_written_yet_is_not_foreign() {
    for kind in KINDS {
        let zeros = [document(kind, SIZE)[..100_000].to_vec(), vec![0; 200_000]].concat();
        assert!(!is_broken(&zeros, 1), "{kind}");
        if !["docx", "streamed", "pdf"].contains(&kind) {
            assert!(!is_broken(&document(kind, SIZE)[..100_000].to_vec(), 1), "{kind}");
        }
    }
}

#[test]
fn a_film_behind_a_picture_belongs_to_it() {
    let moving = [document("jpg", SIZE), document("mp4", SIZE)].concat();

    assert!(seeds().all(|seed| !is_broken(&moving, seed)));
}

#[test]
fn what_a_hostile_head_names_is_looked_for_in_vain_and_in_bounds() {
    let heads: [&[u8]; 8] = [
        b"PK\x03\x04",
        b"%PDF-1.7 startxref 99999999999999999999",
        b"\xff\xd8\xff\xe0\0\0",
        b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIDAT",
        b"\0\0\0\x01ftyp\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xd0\xcf\x11\xe0",
        b"{\\rtf",
        b"SQLite format 3\0\0\x01",
    ];
    for head in heads {
        for behind in [vec![], vec![0xff; 1_000], random(1_000), vec![b'0'; 70_000]] {
            is_broken(&[head.to_vec(), behind].concat(), 3);
        }
    }
}
