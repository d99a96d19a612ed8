use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;

fn key() -> OpenKey {
    OpenKey::from_seed(&[1; SEED])
}

fn sealed(plain: &[u8]) -> Vec<u8> {
    sealed_in_pieces(plain, usize::MAX)
}

fn sealed_in_pieces(plain: &[u8], piece: usize) -> Vec<u8> {
    let mut sealer = Sealer::new(Vec::new(), &key().public(), &[2; SEED]).unwrap();
    plain.chunks(piece).for_each(|piece| sealer.write_all(piece).unwrap());
    let (bytes, known) = sealer.finish().unwrap();
    assert_eq!(known, Plain { sha256: Sha256::of(plain), size: plain.len() as u64 });
    bytes
}

fn opened(sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut plain = Vec::new();
    let known = open(sealed, &key(), &mut plain)?;
    assert_eq!(known, Plain { sha256: Sha256::of(&plain), size: plain.len() as u64 });
    Ok(plain)
}

/// Bytes of which no two chunks are the same.
fn noise(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8).collect()
}

/// Takes sealed bytes apart into their head and their chunks.
fn parts(sealed: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    (sealed[..HEAD].to_vec(), sealed[HEAD..].chunks(CHUNK + TAG).map(<[u8]>::to_vec).collect())
}

fn joined(head: &[u8], chunks: &[&Vec<u8>]) -> Vec<u8> {
    let mut out = head.to_vec();
    chunks.iter().for_each(|chunk| out.extend_from_slice(chunk));
    out
}

/// RFC 9180, A.2.1: what goes in and what must come out.
#[test]
fn the_suite_and_its_counter_are_those_of_rfc_9180() {
    let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).unwrap();
    let seed = |text: &str| <[u8; SEED]>::try_from(hex(text)).unwrap();
    let (info, plain) = (b"Ode on a Grecian Urn", b"Beauty is truth, truth beauty");
    let receiver =
        OpenKey::from_seed(&seed("1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df"));
    let public = receiver.public();
    let dice = seed("909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b");

    let point = <Kem as hpke::Kem>::PublicKey::from_bytes(&public.0).unwrap();
    let (encapsulated, mut context) =
        hpke::setup_sender_with_rng::<Aead, Kdf, Kem>(&OpModeS::Base, &point, info, &mut Once(Some(&dice)))
            .unwrap();
    let mut seal = |bound: &str| {
        let mut bytes = plain.to_vec();
        let tag =
            context.seal_inout_detached(InOutBuf::from(bytes.as_mut_slice()), bound.as_bytes()).unwrap();
        HEXLOWER.encode(&[bytes.as_slice(), &tag.to_bytes()].concat())
    };

    assert_eq!(public.to_string(), "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a");
    // Of the last byte, fb, the upper bits are set as 7.1.2 demands of what is written.
    assert!(receiver.to_text().contains("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e07b"));
    assert_eq!(
        HEXLOWER.encode(&encapsulated.to_bytes()),
        "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a"
    );
    assert_eq!(
        [seal("Count-0"), seal("Count-1")],
        [
            "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
            "6b53c051e4199c518de79594e1c4ab18b96f081549d45ce015be002090bb119e85285337cc95ba5f59992dc98c",
        ]
    );
}

/// A format that was given out never changes: this is what version 1 makes of these keys.
#[test]
fn the_format_is_as_it_was_written_down() {
    let bytes = sealed(b"khien");

    assert_eq!(&bytes[..8], b"KHSEAL\0\x01");
    assert_eq!(bytes[8..16], Sha256::of(&key().public().0).0[..8]);
    assert_eq!(bytes.len() as u64, sealed_size(5));
    assert_eq!(sealed_to(&bytes).unwrap(), key().public().id());
    assert_eq!(
        Sha256::of(&bytes).to_string(),
        "d2de405b38e7a9377d58b7e341f3e62d6b6016936145ac931792bb2f6ae9d559"
    );
}

#[test]
fn what_was_sealed_opens_at_every_size_around_a_chunk() {
    for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7] {
        let plain = noise(size);

        let bytes = sealed(&plain);

        assert_eq!(bytes.len() as u64, sealed_size(size as u64), "{size}");
        assert_eq!(opened(&bytes).unwrap(), plain, "{size}");
        assert_eq!(sealed_in_pieces(&plain, 1_000), bytes, "how it came changes nothing");
    }
}

#[test]
fn plaintext_is_nowhere_in_what_was_sealed() {
    let marker = b"what nobody may read";
    let plain = marker.repeat(10_000);

    let bytes = sealed(&plain);

    assert!(!bytes.windows(marker.len()).any(|window| window == marker));
}

#[test]
fn a_stream_that_was_cut_anywhere_does_not_open() {
    let bytes = sealed(&noise(2 * CHUNK + 100));
    let ends = [0, 7, HEAD - 1, HEAD, HEAD + 5, HEAD + CHUNK + TAG - 1, HEAD + CHUNK + TAG + 3];
    let between = [1, 2].map(|n| HEAD + n * (CHUNK + TAG));

    for end in ends.into_iter().chain([bytes.len() - TAG, bytes.len() - 1]) {
        assert!(opened(&bytes[..end]).is_err(), "cut at {end}");
    }
    for end in between {
        assert!(matches!(opened(&bytes[..end]), Err(SealError::Cut)), "cut between two chunks, at {end}");
    }
}

#[test]
fn chunks_that_are_swapped_repeated_left_out_or_of_another_stream_do_not_open() {
    let (head, chunks) = parts(&sealed(&noise(3 * CHUNK)));
    let [a, b, c] = &chunks[..] else { panic!("three chunks") };
    let other = Sealer::new(Vec::new(), &key().public(), &[3; SEED]).and_then(|mut sealer| {
        sealer.write_all(&noise(3 * CHUNK))?;
        Ok(sealer.finish()?.0)
    });
    let (_, others) = parts(&other.unwrap());

    assert!(opened(&joined(&head, &[a, b, c])).is_ok());
    for wrong in [
        vec![b, a, c],
        vec![a, a, b, c],
        vec![a, c],
        vec![b, c],
        vec![a, b, c, c],
        vec![a, &others[1], c],
        vec![a, b, b],
    ] {
        assert!(opened(&joined(&head, &wrong)).is_err());
    }
}

#[test]
fn one_plaintext_has_one_form() {
    let mut sealer = Sealer::new(Vec::new(), &key().public(), &[2; SEED]).unwrap();
    sealer.write_all(&noise(CHUNK)).unwrap();
    sealer.put(Place::Inside).unwrap();
    let (bytes, _) = sealer.finish().unwrap();

    assert!(matches!(opened(&bytes), Err(SealError::Damaged(1))), "an empty chunk behind others");
}

#[test]
fn what_stands_behind_the_end_is_seen() {
    let mut bytes = sealed(&noise(CHUNK));
    bytes.push(0);

    assert!(matches!(opened(&bytes), Err(SealError::Damaged(0))));
}

#[test]
fn no_byte_may_be_another() {
    let bytes = sealed(&noise(CHUNK + 9));

    for at in (0..HEAD).chain([HEAD, HEAD + CHUNK, HEAD + CHUNK + TAG, bytes.len() - 1]) {
        let mut other = bytes.clone();
        other[at] ^= 1;
        assert!(opened(&other).is_err(), "byte {at}");
    }
}

#[test]
fn another_key_says_which_one_is_needed() {
    let bytes = sealed(b"x");
    let other = OpenKey::from_seed(&[9; SEED]);

    let error = open(&bytes[..], &other, &mut io::sink()).unwrap_err();

    let (to, have) = (key().public().id(), other.public().id());
    assert!(matches!(error, SealError::OtherKey { to: t, have: h } if (t, h) == (to, have)), "{error}");
    assert!(matches!(opened(b"<?php"), Err(SealError::NotSealed)));
    assert!(matches!(opened(b"KHSEAL\0\x02"), Err(SealError::Version(2))));
    assert!(matches!(opened(b""), Err(SealError::Cut)));
}

#[test]
fn nothing_is_sealed_to_a_key_that_anybody_could_open() {
    // Points of low order: what is agreed on with them is zero whoever does it (RFC 7748, 6.1).
    for point in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        let sealer = Sealer::new(Vec::new(), &SealKey(point), &[2; SEED]);

        assert!(matches!(sealer.err(), Some(SealError::BadKey)));
    }
}

#[test]
fn nothing_follows_an_error() {
    let mut bytes = sealed(&noise(2 * CHUNK));
    bytes[HEAD] ^= 1;
    let mut opener = Opener::new(&bytes[..], &key()).unwrap();

    assert!(matches!(opener.next_chunk(), Err(SealError::Damaged(0))));
    assert!(matches!(opener.next_chunk(), Err(SealError::Cut)), "an end that was not seen is none");
}

#[test]
fn a_key_reads_back_from_its_file_and_shows_itself_nowhere_else() {
    let key = key();
    let text = key.to_text();

    let again: OpenKey = text.parse().unwrap();

    assert_eq!(again.to_text(), text);
    assert_eq!(format!("{key:?}"), format!("OpenKey({})", key.public().id()));
    for wrong in ["", "khien-evidence-key-1:", "khien-evidence-key-1:00", &text[1..], &text.replace('1', "")]
    {
        assert_eq!(wrong.parse::<OpenKey>().err(), Some(NoKey), "{wrong}");
    }
}

/// An output that is full after so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_as_one() {
    let mut sealer = Sealer::new(Full(HEAD + CHUNK), &key().public(), &[2; SEED]).unwrap();

    let error = sealer.write_all(&noise(2 * CHUNK)).unwrap_err();

    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_any_pieces_come_back(size in 0..3 * CHUNK, piece in 1..CHUNK * 2) {
        let plain = noise(size);

        prop_assert_eq!(opened(&sealed_in_pieces(&plain, piece)).unwrap(), plain);
    }

    #[test]
    fn any_bytes_may_be_tried_and_no_altered_stream_opens_to_other_bytes(
        size in 0..CHUNK + 100, at in 0..HEAD + CHUNK + 200, with in 1..=u8::MAX, cut in 0..CHUNK
    ) {
        let plain = noise(size);
        let mut bytes = sealed(&plain);
        let at = at % bytes.len();
        bytes[at] ^= with;
        prop_assert!(opened(&bytes).is_err());
        let end = cut % bytes.len();
        prop_assert!(opened(&bytes[..end]).is_err());
    }

    #[test]
    fn noise_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(opened(&bytes).is_err());
    }
}
