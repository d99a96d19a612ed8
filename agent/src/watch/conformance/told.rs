//! The second matrix: what can happen to a name, and what each back end tells those who listen.
//!
//! Every row is done by another program. It holds when exactly these things are told of the row's folder, in this order;
//! only that something was written may be told more than once. Where the order hangs on how fast the watch is, or where
//! notify may be too late, the row says so.

use std::{ffi::OsStr, fmt::Write, os::unix::ffi::OsStrExt, path::Path, process::Command};

use super::{
    super::{
        Backend,
        tests::{Watched, backends},
    },
    Act::{self, Call, Sh},
    acts,
};
use crate::activity::{Activity, Change};

/// One deed.
struct Deed {
    /// As the documentation says it.
    name: &'static str,
    /// Shell lines that are done before the watch starts. `$I` is the row's watched folder, `$O` one outside.
    before: &'static str,
    act: Act,
    fanotify: &'static [&'static str],
    notify: &'static [&'static str],
    sure: Sure,
}

/// How surely a row is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sure {
    /// This, in this order, and nothing else.
    Exactly,
    /// This in any order, and nothing else.
    AnyOrder,
    /// By notify this, and the rest only if it is quick enough.
    NotifyMayTellMore,
}

const fn deed(name: &'static str, before: &'static str, act: Act, told: &'static [&'static str]) -> Deed {
    Deed { name, before, act, fanotify: told, notify: told, sure: Sure::Exactly }
}

impl Deed {
    /// What notify tells, where that is something else.
    const fn by_notify(self, notify: &'static [&'static str]) -> Self {
        Self { notify, ..self }
    }

    const fn is(self, sure: Sure) -> Self {
        Self { sure, ..self }
    }

    /// Tells whether what was told is what the table says.
    fn fits(&self, told: &[String], backend: Backend) -> bool {
        let wanted = self.told_by(backend);
        // Of a name that was moved away notify may not know that it was a folder's.
        let cut = |word: &str| match backend {
            Backend::Notify if word.starts_with("moved out") => word.trim_end_matches('/').to_owned(),
            _ => word.to_owned(),
        };
        let told: Vec<String> = told.iter().map(|word| cut(word)).collect();
        let wanted: Vec<String> = wanted.iter().map(|word| cut(word)).collect();
        let has_all = wanted.iter().all(|word| told.contains(word));
        match self.sure {
            Sure::NotifyMayTellMore if backend == Backend::Notify => has_all,
            Sure::AnyOrder => has_all && told.len() == wanted.len(),
            _ => told == wanted,
        }
    }

    fn told_by(&self, backend: Backend) -> &'static [&'static str] {
        if backend == Backend::Notify { self.notify } else { self.fanotify }
    }
}

const FILE: &str = "echo old > $I/f";
const TREE: &str = "mkdir -p $I/d/e; echo old > $I/d/e/f";
const MODE: &[&str] = &["attributes f"];

const DEEDS: &[Deed] = &[
    // Made and written.
    deed("a file made and written", "", Sh("echo new > $I/f"), &["created f", "written f"]),
    deed("a file appended to", FILE, Sh("echo new >> $I/f"), &["written f"]),
    deed("a folder made", "", Sh("mkdir $I/d"), &["created d/"]),
    deed("a symbolic link made", "", Sh("ln -s /etc/passwd $I/f"), &["created f"]),
    deed("a second name given to a file (hard link)", FILE, Sh("ln $I/f $I/g"), &["created g"]),
    deed(
        "a file made without a name, then named (O_TMPFILE)",
        "",
        Call("tmpfile"),
        &["created f", "written f"],
    )
    .by_notify(&["created f"])
    .is(Sure::AnyOrder),
    // Removed.
    deed("a file removed", FILE, Sh("rm $I/f"), &["removed f"]),
    deed("one of two names removed", "echo old > $I/f; ln $I/f $I/g", Sh("rm $I/g"), &["removed g"]),
    deed("a folder removed", "mkdir $I/d", Sh("rmdir $I/d"), &["removed d/"]),
    deed("a tree removed", TREE, Sh("rm -r $I/d"), &["removed d/e/f", "removed d/e/", "removed d/"]),
    deed(
        "a folder made, filled and removed at once",
        "",
        Sh("mkdir $I/d; echo new > $I/d/f; rm -r $I/d"),
        &["created d/", "created d/f", "written d/f", "removed d/f", "removed d/"],
    )
    .by_notify(&["created d/", "removed d/"])
    .is(Sure::NotifyMayTellMore),
    // Moved.
    deed("a file moved in", "echo old > $O/f", Sh("mv $O/f $I/f"), &["moved in f"]),
    deed("a file moved out", FILE, Sh("mv $I/f $O/f"), &["moved out f"]),
    deed("a file renamed", FILE, Sh("mv $I/f $I/g"), &["moved in g from f"]),
    deed(
        "a file moved from folder to folder",
        "mkdir $I/a $I/b; echo old > $I/a/f",
        Sh("mv $I/a/f $I/b/g"),
        &["moved in b/g from a/f"],
    ),
    deed(
        "a file renamed over another",
        "echo old > $I/f; echo old > $I/g",
        Sh("mv -f $I/f $I/g"),
        &["moved in g from f"],
    ),
    deed(
        "a file exchanged with one outside",
        "echo old > $I/f; echo old > $O/f",
        Call("exchange"),
        &["moved in f", "moved out f"],
    ),
    deed(
        "two files exchanged",
        "echo old > $I/f; echo old > $I/g",
        Call("exchange inside"),
        &["moved in f from g", "moved in g from f"],
    ),
    deed("a folder moved in", "mkdir $O/d; echo old > $O/d/f", Sh("mv $O/d $I/d"), &["moved in d/"]),
    deed("a folder moved out", TREE, Sh("mv $I/d $O/d"), &["moved out d/"]),
    deed("a folder renamed", TREE, Sh("mv $I/d $I/z"), &["moved in z/ from d"]),
    // Changed without being written to.
    deed("its mode changed (chmod)", FILE, Sh("chmod 4755 $I/f"), MODE),
    deed("its owner changed (chown)", FILE, Sh("chown $(id -u) $I/f"), MODE),
    deed("its times changed (utimes)", FILE, Sh("touch -c -d 2001-01-01 $I/f"), MODE),
    deed("an extended attribute set", FILE, Call("setxattr"), MODE),
    deed("the mode of a folder changed", "mkdir $I/d", Sh("chmod 700 $I/d"), &["attributes d/"]),
];

#[test]
fn each_thing_that_happens_to_a_name_is_told_as_the_matrix_says() {
    let wrong: Vec<String> = backends().into_iter().flat_map(wrong_with).collect();
    println!("{}", markdown());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn wrong_with(backend: Backend) -> Vec<String> {
    let prepare = |at: &Path| {
        for (row, deed) in DEEDS.iter().enumerate() {
            let done = shell(at, row, &format!("mkdir -p $I $O; {}", deed.before)).status().unwrap();
            assert!(done.success(), "before: {}", deed.name);
        }
    };
    let mut watched = Watched::start(backend, None, prepare);
    let at = watched.at().canonicalize().unwrap();
    let mut wrong = Vec::new();
    for (row, deed) in DEEDS.iter().enumerate() {
        act(&at, row, deed);
        watched.sh(&format!("echo x > in/last{row}"));
        let mut all = watched.hears_until(&format!("in/last{row}"));
        let folder = at.join(format!("in/{row}"));
        // A name that notify does not see again is told of after a moment.
        let fits = |all: &[Activity]| deed.fits(&in_words(all, &folder), backend);
        while !fits(&all)
            && let Some(more) = watched.hears_soon()
        {
            all.push(more);
        }
        if !fits(&all) {
            let (told, wanted) = (in_words(&all, &folder), deed.told_by(backend));
            wrong.push(format!("{backend:?}: {}: {told:?}, not {wanted:?}", deed.name));
        }
    }
    wrong
}

fn act(at: &Path, row: usize, deed: &Deed) {
    let mut command = match deed.act {
        Sh(line) => shell(at, row, line),
        Call(name) => {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", acts::TEST]).env(acts::NAME, name).env(acts::ONCE, "1");
            ready(command, at, row)
        }
        _ => panic!("{}", deed.name),
    };
    assert!(command.output().unwrap().status.success(), "{}", deed.name);
}

fn shell(at: &Path, row: usize, line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-e", "-c", line]);
    ready(command, at, row)
}

fn ready(mut command: Command, at: &Path, row: usize) -> Command {
    command.env("I", at.join(format!("in/{row}"))).env("O", at.join(format!("out/{row}"))).current_dir(at);
    command
}

/// Says what was told below a folder, without saying twice in a row, or ever again, that something was written.
fn in_words(all: &[Activity], folder: &Path) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for activity in all {
        let path = Path::new(OsStr::from_bytes(activity.path.raw()));
        let Ok(name) = path.strip_prefix(folder) else { continue };
        let slash = if activity.folder { "/" } else { "" };
        let from = |from: &khien_core::Untrusted| {
            let from = Path::new(OsStr::from_bytes(from.raw())).strip_prefix(folder).unwrap().to_owned();
            format!(" from {}", from.display())
        };
        let (what, from) = match &activity.change {
            Change::Created => ("created", None),
            Change::Written => ("written", None),
            Change::MovedIn { from: before } => ("moved in", before.as_ref().map(from)),
            Change::MovedOut => ("moved out", None),
            Change::Removed => ("removed", None),
            Change::Attributes => ("attributes", None),
        };
        let word = format!("{what} {}{slash}{}", name.display(), from.unwrap_or_default());
        if activity.change != Change::Written || !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

/// Returns the table as the documentation shows it.
fn markdown() -> String {
    let mut text = String::from("| what happens | fanotify | notify |\n|---|---|---|\n");
    let shown = |told: &[&str]| told.join(", ");
    for deed in DEEDS {
        let sure = if deed.sure == Sure::NotifyMayTellMore { "; the rest if it is quick enough" } else { "" };
        // Writing to a string does not fail.
        let _ = writeln!(text, "| {} | {} | {}{sure} |", deed.name, shown(deed.fanotify), shown(deed.notify));
    }
    text
}
