use khien_core::{
    conduct::behaviour::MAX_EXAMPLES,
    event::{Ancestor, FileFacts, Process},
};

use super::{
    super::{
        content::{Samples, Says},
        hand,
        sample::{
            activity, at,
            documents::{document, encrypted},
            process, random, systems,
        },
        structure,
    },
    *,
};

use crate::activity::Activity;

mod attacks;
mod everyday;

const FOLDER: &str = "/srv/tai-lieu";
/// What is written on an honest note of this trade.
const DEMAND: &[u8] = b"All your files are encrypted. Pay in bitcoin.";

/// Watched folders, what lies in them and what was told of them.
struct Share {
    ransom: Ransom,
    disk: HashMap<Untrusted, Vec<u8>>,
    /// When files were made, under whatever name.
    born: HashMap<Untrusted, i64>,
    told: Vec<Verdict>,
}

impl Share {
    fn new() -> Self {
        Self {
            ransom: Ransom::new(HashMap::new()),
            disk: HashMap::new(),
            born: HashMap::new(),
            told: Vec::new(),
        }
    }

    fn does(&mut self, name: &str, change: Change, who: Option<&Process>, (content, millis): (&[u8], i64)) {
        let activity = activity(&format!("{FOLDER}/{name}"), change, who, millis);
        match activity.change {
            Change::Removed | Change::MovedOut => {
                self.disk.remove(&activity.path);
                self.born.remove(&activity.path);
            }
            _ => drop(self.disk.insert(activity.path.clone(), content.to_vec())),
        }
        if activity.change == Change::Created {
            self.born.entry(activity.path.clone()).or_insert(millis);
        }
        let born = self.born.get(&activity.path).copied().unwrap_or(0);
        let hand = hand::of(who, systems);
        let it = Deeds::new(&activity, FOLDER.as_bytes(), hand);
        let Heard { told, ask, also } = self.ransom.heard(&it, at(millis));
        self.told.extend(told);
        if ask.is_some() {
            self.told.extend(self.ransom.saw(&it, &facts(it.path(), content, born), at(millis)));
        }
        let Some(content) = also.as_ref().and_then(|also| self.disk.get(also)) else { return };
        let born = also.as_ref().and_then(|also| self.born.get(also)).copied().unwrap_or(0);
        let other = Activity { path: also.unwrap(), change: Change::Written, ..activity.clone() };
        let it = Deeds::new(&other, FOLDER.as_bytes(), hand);
        self.told.extend(self.ransom.saw(&it, &facts(it.path(), content, born), at(millis)));
    }

    /// Gives a file that was there before another name.
    fn links(&mut self, name: &str, content: &[u8], millis: i64) {
        self.born.insert(Untrusted::from(format!("{FOLDER}/{name}").as_str()), 0);
        self.does(name, Change::Created, Some(&locker()), (content, millis));
    }

    /// Writes a copy under a name and removes the original.
    fn replaces(&mut self, original: &str, copy: (&str, &[u8]), who: [&Process; 2], millis: i64) {
        self.does(copy.0, Change::Created, Some(who[0]), (copy.1, millis));
        self.does(copy.0, Change::Written, Some(who[0]), (copy.1, millis + 1));
        self.does(original, Change::Removed, Some(who[1]), (b"", millis + 2));
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

fn facts(path: &[u8], content: &[u8], born: i64) -> Facts {
    let samples = Samples { head: content.to_vec(), further: Vec::new() };
    Facts {
        file: serde_json::from_value::<FileFacts>(serde_json::json!({
            "size": content.len(), "mode": 33188, "uid": 0, "gid": 0, "owner": null, "modified": at(0),
        }))
        .unwrap(),
        changed: at(0),
        born: Some(at(born)),
        says: Says::of(
            path,
            &samples,
            content.len() as u64,
            structure::is_broken(&content.to_vec(), 7),
            Some(content),
        ),
        unsettled: false,
        sha256: Some(Sha256::of(content)),
        too_large: false,
        release: None,
        pages: None,
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
        share.does(&format!("{n}/HOW_TO_DECRYPT.txt"), Change::Created, Some(&locker()), (DEMAND, n));
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
fn a_note_that_demands_nothing_counts_if_files_are_renamed_beside_it() {
    let mut share = Share::new();
    let note = |share: &mut Share, n: i64| {
        share.does(&format!("{n}/README.txt"), Change::Created, Some(&locker()), (b"write to us", n * 100));
    };
    (0..9).for_each(|n| note(&mut share, n));
    assert_eq!(share.rules(), [""; 0]);

    share.renames(3, |n| (format!("{n}.doc"), format!("{n}.doc.x{n}")), |_| Some(locker()));
    note(&mut share, 9);

    assert_eq!(share.rules(), ["note"]);
    assert_eq!(share.told[0].behaviour.deed, Deed::Note { folders: 10 });
}

#[test]
fn a_canary_that_a_deployment_removed_is_none_any_more() {
    let path = Untrusted::from(format!("{FOLDER}/!0-khien-canary.txt").as_str());
    let mut share = Share::new();
    share.ransom = Ransom::new(HashMap::from([(path.clone(), Sha256::of(b"planted"))]));
    assert!(share.ransom.is_gone(&path, at(0)).is_some());
    let mut deployed = Share::new();
    deployed.ransom = Ransom::new(HashMap::from([(path.clone(), Sha256::of(b"planted"))]));

    let name = "!0-khien-canary.txt";
    deployed.does(name, Change::Removed, Some(&process("/usr/bin/rsync", "deploy")), (b"", 0));

    assert_eq!((deployed.ransom.canaries(), deployed.ransom.is_gone(&path, at(1))), (vec![], None));
}

#[test]
fn a_canary_that_is_changed_or_goes_is_told_and_one_that_is_only_touched_is_not() {
    let path = Untrusted::from(format!("{FOLDER}/!0-khien-canary.txt").as_str());
    let mut share = Share::new();
    share.ransom = Ransom::new(HashMap::from([(path.clone(), Sha256::of(b"planted"))]));
    let name = "!0-khien-canary.txt";
    share.does(name, Change::Attributes, Some(&locker()), (b"", 0));
    share.does(name, Change::Written, Some(&locker()), (b"planted", 1));
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

    assert!(share.ransom.actors.remembered() <= 512);
    share.ransom.tick(at(600_000));
    assert_eq!(share.ransom.actors.remembered(), 0);
}
