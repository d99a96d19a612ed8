use khien_core::event::{FileFacts, Process};

use super::{
    super::{
        content::Samples,
        sample::{activity, at, process, random},
    },
    *,
};

const FOLDER: &str = "/srv/tai-lieu";

/// Watched folders and what was told of them.
struct Share {
    ransom: Ransom,
    told: Vec<Verdict>,
}

impl Share {
    fn new() -> Self {
        Self { ransom: Ransom::new(HashMap::new()), told: Vec::new() }
    }

    fn does(&mut self, name: &str, change: Change, who: Option<&Process>, (content, millis): (&[u8], i64)) {
        let activity = activity(&format!("{FOLDER}/{name}"), change, who, millis);
        let it = Deeds::new(&activity, FOLDER.as_bytes());
        let (told, ask) = self.ransom.heard(&it, at(millis));
        self.told.extend(told);
        if ask.is_some() {
            self.told.extend(self.ransom.saw(&it, &facts(content), at(millis)));
        }
    }

    /// Moves files one every tenth of a second.
    fn renames(
        &mut self,
        files: i64,
        name: impl Fn(i64) -> (String, String),
        who: impl Fn(i64) -> Option<Process>,
    ) {
        for n in 0..files {
            let (from, to) = name(n);
            let from = Some(Untrusted::from(format!("{FOLDER}/{from}").as_str()));
            self.does(&to, Change::MovedIn { from }, who(n).as_ref(), (b"x", n * 100));
        }
    }

    fn rules(&self) -> Vec<&str> {
        self.told.iter().map(|v| v.behaviour.deed.rule().strip_prefix("khien.ransom.").unwrap()).collect()
    }
}

fn facts(content: &[u8]) -> Facts {
    Facts {
        file: serde_json::from_value::<FileFacts>(serde_json::json!({
            "size": content.len(), "mode": 33188, "uid": 0, "gid": 0, "owner": null, "modified": at(0),
        }))
        .unwrap(),
        changed: at(0),
        samples: Samples { head: content.to_vec(), further: Vec::new() },
        whole: content.to_vec(),
        sha256: Some(Sha256::of(content)),
        neighbours: Vec::new(),
        pages: 0,
    }
}

fn locker() -> Process {
    process("/tmp/.x/enc", "www-data")
}

fn child(pid: i64, parent: u32) -> Process {
    Process {
        pid: u32::try_from(pid).unwrap() + 4_000,
        parent: Some(parent),
        ..process("/usr/bin/openssl", "root")
    }
}

#[test]
fn the_twentieth_rename_to_one_strange_extension_by_one_process_is_told_at_once() {
    let mut share = Share::new();

    share.renames(19, |n| (format!("{n}.docx"), format!("{n}.docx.locked")), |_| Some(locker()));
    assert_eq!(share.rules(), [""; 0]);
    share.does("19.pdf.locked", Change::MovedIn { from: None }, Some(&locker()), (b"x", 2_000));

    assert_eq!(share.rules(), ["mass_rename"]);
    let told = &share.told[0];
    assert_eq!((told.path.clone(), told.behaviour.count), (FOLDER.into(), 20));
    assert_eq!(told.behaviour.deed, Deed::ManyRenamed { suffix: "locked".into() });
    assert_eq!(told.process, Some(locker()));
    assert_eq!(told.behaviour.examples.len(), MAX_EXAMPLES);
}

#[test]
fn the_number_goes_on_growing_while_it_continues() {
    let mut share = Share::new();
    share.renames(90, |n| (format!("{n}.xls"), format!("{n}.akira")), |_| Some(locker()));

    let later = share.ransom.tick(at(9_000));

    assert_eq!(share.rules(), ["mass_rename"]);
    assert_eq!((later.len(), later[0].behaviour.count), (1, 90));
    assert_eq!(share.ransom.tick(at(9_100)), []);
}

#[test]
fn a_script_that_starts_a_program_for_each_file_is_one_actor() {
    let mut share = Share::new();

    share.renames(25, |n| (format!("{n}.jpg"), format!("{n}.jpg.enc")), |n| Some(child(n, 3_000)));

    assert_eq!(share.rules(), ["mass_rename"]);
}

#[test]
fn programs_that_were_gone_before_they_were_asked_count_with_their_siblings() {
    let mut share = Share::new();

    let who = |n| Some(Process { parent: (n % 2 == 0).then_some(3_000), ..child(n, 0) });
    share.renames(50, |n| (format!("{n}.jpg"), format!("{n}.jpg.enc")), who);

    assert_eq!(share.rules(), ["mass_rename"]);
    assert_eq!(share.ransom.tick(at(9_000))[0].behaviour.count, 50);
}

#[test]
fn an_encrypted_copy_whose_original_is_removed_counts_as_renamed() {
    let mut share = Share::new();

    for n in 0..20 {
        share.does(&format!("{n}.sql.locked"), Change::Created, Some(&locker()), (b"x", n * 10));
        share.does(&format!("{n}.sql"), Change::Removed, Some(&locker()), (b"", n * 10 + 5));
    }

    assert_eq!(share.rules(), ["mass_rename"]);
}

#[test]
fn renames_of_everyday_work_are_no_mass() {
    let by = |who: &'static str| move |_: i64| Some(process(who, "root"));
    let mut share = Share::new();
    share.renames(60, |n| (format!("{n}.log"), format!("{n}.log.1")), by("/usr/sbin/logrotate"));
    share.renames(60, |n| (format!("{n}.log.1"), format!("{n}.log-20261123")), by("/usr/sbin/logrotate"));
    share.renames(60, |n| (format!(".{n}.php.Xa81b{n}"), format!("{n}.php")), by("/usr/bin/rsync"));
    share.renames(60, |n| (format!("{n}.jpeg"), format!("{n}.jpg")), by("/usr/bin/rename"));
    share.renames(60, |n| (format!("{n}.conf"), format!("{n}.conf.dpkg-old")), by("/usr/bin/dpkg"));
    share.renames(60, |n| (format!("{n}.conf.dpkg-new"), format!("{n}.conf")), by("/usr/bin/dpkg"));
    share.renames(60, |n| (format!("{n}.php"), format!("{n}.php.bak")), by("/usr/bin/mv"));
    share.renames(60, |n| (format!("tmp_obj_{n}"), format!("{n:040x}")), by("/usr/bin/git"));
    share.renames(60, |n| (format!("{n}.sst.tmp"), format!("{n}.sst")), by("/usr/sbin/mysqld"));
    share.renames(60, |n| (format!("{n}.html.part"), format!("{n}.html")), by("/usr/bin/wget"));

    assert_eq!(share.rules(), [""; 0]);
}

#[test]
fn slow_renames_and_those_of_different_strangers_are_no_mass() {
    let mut share = Share::new();
    for n in 0..60 {
        share.does(
            &format!("{n}.doc.locked"),
            Change::MovedIn { from: None },
            Some(&locker()),
            (b"x", n * 1_000),
        );
    }
    share.renames(60, |n| (format!("{n}.txt"), format!("{n}.mine")), |n| Some(child(n, 1)));

    assert_eq!(share.rules(), [""; 0]);
}

#[test]
fn the_twentieth_document_overwritten_with_noise_is_told_if_they_are_of_three_kinds() {
    let (mut share, noise) = (Share::new(), random(4_096));
    let kinds = ["docx", "txt", "jpg", "pdf"];
    for n in 0..19 {
        share.does(
            &format!("{n}.{}", kinds[n % 4]),
            Change::Written,
            Some(&locker()),
            (&noise, 100 * n as i64),
        );
    }
    // The same file again is no other file.
    share.does("0.docx", Change::Written, Some(&locker()), (&noise, 2_000));
    assert_eq!(share.rules(), [""; 0]);

    share.does("19.sql", Change::Written, Some(&locker()), (&noise, 2_100));

    assert_eq!(share.rules(), ["mass_rewrite"]);
    assert_eq!(share.told[0].behaviour.deed, Deed::ManyScrambled { kinds: 5, note: false });
    assert_eq!((share.told[0].behaviour.count, &share.told[0].process), (20, &Some(locker())));
}

#[test]
fn noise_in_one_kind_only_is_told_when_it_is_very_much() {
    let (mut share, noise) = (Share::new(), random(4_096));
    for n in 0..99 {
        share.does(&format!("{n}.txt"), Change::Written, Some(&locker()), (&noise, n * 10));
    }
    assert_eq!(share.rules(), [""; 0]);

    share.does("99.txt", Change::Written, Some(&locker()), (&noise, 1_000));

    assert_eq!(share.rules(), ["mass_rewrite"]);
}

#[test]
fn writing_of_everyday_work_is_no_mass() {
    let (mut share, noise) = (Share::new(), random(4_096));
    let with = |begin: &[u8]| [begin, &noise[..]].concat();
    let written: [(&str, &str, Vec<u8>); 9] = [
        ("docx", "/usr/bin/soffice.bin", with(b"PK\x03\x04")),
        ("jpg", "/usr/bin/mogrify", with(b"\xff\xd8\xff\xe0")),
        ("pdf", "/usr/bin/gs", with(b"%PDF-1.7\n")),
        ("log.gz", "/usr/bin/gzip", with(b"\x1f\x8b\x08")),
        ("pack", "/usr/bin/git", noise.clone()),
        ("ibd", "/usr/sbin/mysqld", noise.clone()),
        ("sql.zst", "/usr/bin/zstd", noise.clone()),
        ("tar.gpg", "/usr/bin/gpg", noise.clone()),
        ("html", "/usr/bin/vim", "Uỷ ban nhân dân tỉnh\n".repeat(200).into_bytes()),
    ];
    for n in 0..60 {
        for (kind, who, content) in &written {
            share.does(&format!("{n}.{kind}"), Change::Written, Some(&process(who, "root")), (content, n));
        }
        // New files, as a store that encrypts makes them, and what a deployment brings.
        for kind in ["txt", "csv", "xml"] {
            let stored = format!("new/{n}.{kind}");
            share.does(&stored, Change::Created, Some(&locker()), (b"", n));
            share.does(&stored, Change::Written, Some(&locker()), (&noise, n + 1));
            share.does(
                &format!("by/{n}.{kind}"),
                Change::Written,
                Some(&process("/usr/bin/rsync", "a")),
                (&noise, n),
            );
        }
    }

    assert_eq!(share.rules(), [""; 0]);
}

#[test]
fn without_a_process_a_folder_counts_as_one() {
    let (mut share, noise) = (Share::new(), random(4_096));

    for n in 0..20 {
        share.does(
            &format!("{n}.{}", ["txt", "csv", "pdf"][n % 3]),
            Change::Written,
            None,
            (&noise, n as i64),
        );
    }
    share.does("a.html", Change::Written, None, (&noise, 100));

    assert_eq!(share.rules(), ["mass_rewrite"]);
    assert_eq!(share.told[0].process, None);
}

#[test]
fn a_note_in_many_folders_is_told_and_makes_a_mass_rewrite_say_so() {
    let (mut share, noise) = (Share::new(), random(4_096));
    for n in 0..5 {
        share.does(&format!("{n}/HOW_TO_DECRYPT.txt"), Change::Created, Some(&locker()), (b"pay us", n));
    }
    assert_eq!(share.rules(), ["note"]);

    for n in 0..21 {
        share.does(
            &format!("{n}.{}", ["txt", "docx", "pdf"][n % 3]),
            Change::Written,
            Some(&locker()),
            (&noise, 100),
        );
    }

    assert_eq!(share.rules(), ["note", "mass_rewrite"]);
    assert_eq!(share.told[1].behaviour.deed, Deed::ManyScrambled { kinds: 3, note: true });
}

#[test]
fn readme_files_of_packages_are_no_notes() {
    let mut share = Share::new();
    for n in 0..9 {
        share.does(
            &format!("{n}/readme.txt"),
            Change::Created,
            Some(&locker()),
            (format!("package {n}").as_bytes(), n),
        );
        share.does(
            &format!("git/{n}/readme.txt"),
            Change::Created,
            Some(&process("/usr/bin/git", "a")),
            (b"same", n),
        );
        share.does(&format!("{n}/index.html"), Change::Created, Some(&locker()), (b"same", n));
    }

    assert_eq!(share.rules(), [""; 0]);
}

#[test]
fn a_canary_that_is_changed_or_goes_is_told_and_one_that_is_only_touched_is_not() {
    let path = Untrusted::from(format!("{FOLDER}/!0-khien-canary.txt").as_str());
    let mut share = Share::new();
    share.ransom = Ransom::new(HashMap::from([(path.clone(), Sha256::of(b"planted"))]));
    let name = "!0-khien-canary.txt";
    share.does(name, Change::Attributes, Some(&locker()), (b"", 0));
    share.does(name, Change::Written, Some(&locker()), (b"planted", 1));
    share.does(name, Change::Removed, Some(&process("/usr/bin/rsync", "deploy")), (b"", 2));
    assert_eq!(share.rules(), [""; 0]);

    share.does(name, Change::Written, Some(&locker()), (b"encrypted", 3));

    assert_eq!(share.rules(), ["canary"]);
    assert_eq!((share.told[0].path.clone(), &share.told[0].process), (path, &Some(locker())));

    let mut gone = Share::new();
    gone.ransom = Ransom::new(HashMap::from([(share.told[0].path.clone(), Sha256::of(b"planted"))]));
    gone.does(name, Change::MovedOut, Some(&locker()), (b"", 0));
    assert_eq!(gone.rules(), ["canary"]);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut share = Share::new();
    for n in 0..5_000 {
        let who = Process { pid: n, parent: Some(1), ..locker() };
        share.does(
            &format!("{n}.doc.x{n}"),
            Change::MovedIn { from: None },
            Some(&who),
            (b"x", i64::from(n)),
        );
    }

    assert!(share.ransom.actors.remembered() <= 1_024);
    share.ransom.tick(at(600_000));
    assert_eq!(share.ransom.actors.remembered(), 0);
}
