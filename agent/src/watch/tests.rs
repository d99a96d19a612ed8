//! Both back ends on real folders. Other processes make the changes: the agent's own are passed over.

mod activity;
pub(crate) mod alone;
mod cost;
mod far;
mod survey;
mod watched;

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use khien_core::{
    asset::{Coverage, Sight},
    event::Process,
};
use tokio::{runtime::Runtime, time::timeout};

pub(super) use self::watched::Watched;
use super::*;
use crate::{
    activity::{Activity, Change, Heard, Notice, Observed},
    scan::clean::Stamp,
};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_file_that_is_written_is_seen() {
    for mut watched in Watched::each() {
        watched.sh("printf x > in/new");

        watched.sees("in/new");
    }
}

#[test]
fn a_file_that_is_appended_to_is_seen() {
    for mut watched in Watched::each_with(|at| fs::write(at.join("in/log"), "old").unwrap()) {
        watched.sh("printf x >> in/log");

        watched.sees("in/log");
    }
}

#[test]
fn a_file_that_is_renamed_in_is_seen() {
    for mut watched in Watched::each_with(|at| fs::write(at.join("out/kit"), "x").unwrap()) {
        watched.sh("mv out/kit in/kit");

        watched.sees("in/kit");
    }
}

#[test]
fn a_file_that_is_hard_linked_in_is_seen() {
    for mut watched in Watched::each_with(|at| fs::write(at.join("out/kit"), "x").unwrap()) {
        watched.sh("ln out/kit in/kit");

        watched.sees("in/kit");
    }
}

#[test]
fn a_file_in_a_folder_made_a_moment_before_is_seen() {
    for mut watched in Watched::each() {
        watched.sh("for n in 1 2 3 4 5; do mkdir -p in/$n/y/z && printf x > in/$n/y/z/deep; done");

        (1..=5).for_each(|n| watched.sees(&format!("in/{n}/y/z/deep")));
    }
}

#[test]
fn a_tree_that_is_renamed_in_is_seen_to_its_leaves() {
    let tree = |at: &Path| {
        fs::create_dir_all(at.join("out/kit/a/b")).unwrap();
        fs::write(at.join("out/kit/a/b/leaf"), "x").unwrap();
    };
    for mut watched in Watched::each_with(tree) {
        watched.sh("mv out/kit in/kit");
        watched.sees("in/kit/a/b/leaf");

        watched.sh("printf x > in/kit/a/b/later");
        watched.sees("in/kit/a/b/later");
    }
}

#[test]
fn a_writer_that_keeps_its_file_open_is_seen_while_it_is_open() {
    for mut watched in Watched::each_with(|at| fs::write(at.join("in/page"), "old").unwrap()) {
        let _writer = watched.stay("exec 3>> in/page; printf x >&3");

        watched.sees("in/page");
    }
}

#[test]
fn a_file_that_is_written_to_without_end_is_seen_again_and_again() {
    for mut watched in Watched::each() {
        let _writer = watched.stay("exec 3> in/log; for n in $(seq 300); do printf x >&3; sleep 0.1; done");

        (0..3).for_each(|_| watched.sees("in/log"));
    }
}

#[test]
fn a_link_to_a_file_outside_is_seen_and_one_to_a_folder_is_said() {
    for mut watched in Watched::each_with(|at| fs::write(at.join("out/file"), "x").unwrap()) {
        watched.sh(
            "ln -s ../out/file in/link; ln -s ../out in/away; ln -s round in/round; ln -s nowhere in/hole",
        );
        watched.sh("ln -s /dev/null in/device; ln -s home in/own; printf x > in/last; ln -s last in/inner");

        let seen = watched.sees_until("in/last");

        assert_eq!(seen, BTreeSet::from(["in/link", "in/last"].map(String::from)));
        let out = watched.at().canonicalize().unwrap().join("out");
        let gap = watched.gap("in/away");
        let Some(Reason::LinkLeadsOut { folder, others: 0 }) = gap.reason else { panic!("{gap:?}") };
        assert_eq!(folder, walker::scope(&out));
        watched.sh("rm in/away");
        watched.no_gap("in/away");
    }
}

#[test]
fn a_write_under_a_name_outside_is_seen_under_the_name_inside_with_fanotify() {
    let Some(mut watched) = Watched::with_fanotify(|at| fs::write(at.join("out/kit"), "x").unwrap()) else {
        return;
    };
    watched.sh("ln out/kit in/kit");
    watched.sees("in/kit");

    watched.sh("printf y >> out/kit; printf x > in/last");

    assert!(watched.sees_until("in/last").contains("in/kit"));
}

#[test]
fn the_agents_own_home_is_passed_over() {
    for mut watched in Watched::each() {
        watched.sh(
            "printf x > in/home/spool; mkdir in/home/deep; printf x > in/home/deep/f; printf x > in/last",
        );

        assert_eq!(watched.sees_until("in/last"), BTreeSet::from(["in/last".to_owned()]));
    }
}

#[test]
fn a_folder_that_is_missing_is_waited_for_and_said_to_be_blind() {
    for mut watched in Watched::each_with(|at| fs::remove_dir_all(at.join("in")).unwrap()) {
        assert_eq!(watched.coverage().sight, Sight::Blind);

        watched.sh("mkdir in; printf x > in/late");

        watched.sees("in/late");
        assert_ne!(watched.coverage().sight, Sight::Blind);
    }
}

#[test]
fn what_changed_while_the_agent_was_down_is_seen_and_what_is_older_is_not() {
    for backend in backends() {
        let mut watched = Watched::start(backend, None, |at| fs::write(at.join("in/old"), "x").unwrap());
        watched.sh("printf x > in/first");
        watched.sees("in/first");
        let at = watched.stop();
        let since = Timestamp::now() + SLACK_OF_THE_WALK;
        fs::write(at.path().join("in/before"), "x").unwrap();
        wait_until_after(since);
        fs::write(at.path().join("in/meanwhile"), "x").unwrap();

        let mut watched = Watched::again(backend, at, Some(since));

        assert_eq!(watched.sees_until("in/meanwhile"), BTreeSet::from(["in/meanwhile".to_owned()]));
    }
}

#[test]
fn the_writing_process_is_known_with_fanotify() {
    let Some(mut watched) = Watched::with_fanotify(|_| {}) else { return };

    let (_writer, process) = watched.write_and_stay();

    let process = process.expect("fanotify tells the process");
    assert_eq!(process.uid, Some(rustix::process::getuid().as_raw()));
    assert_eq!(process.parent, Some(std::process::id()));
    assert!(process.command.as_ref().unwrap().to_string().starts_with("sh -c"), "the command line is known");
    assert!(process.exe.is_some());
    assert_eq!(watched.coverage().sight, Sight::Full);
}

#[test]
fn without_fanotify_the_coverage_says_what_is_lacking() {
    let watched = Watched::start(Backend::Notify, None, |_| {});

    let coverage = watched.coverage();

    assert_eq!((coverage.backend.as_str(), coverage.sight), ("notify", Sight::Reduced));
    assert!(matches!(coverage.reason, Some(Reason::WriterUnknown { .. })), "{coverage:?}");
}

#[test]
fn a_file_system_below_a_watched_folder_is_seen_and_can_be_unmounted() {
    if !rustix::process::geteuid().is_root() {
        println!("cannot run here: a_file_system_below_a_watched_folder: mounting needs root");
        return;
    }
    alone::with_own_mounts(|| {
        for mut watched in Watched::each_with(|at| fs::create_dir(at.join("in/disk")).unwrap()) {
            watched.sh("mount -t tmpfs none in/disk; printf x > in/disk/early");
            watched.sees("in/disk/early");
            watched.sh("printf x > in/disk/late");
            watched.sees("in/disk/late");

            watched.sh("umount in/disk");

            assert!(!watched.at().join("in/disk/late").exists());
        }
    });
}

/// Each bind of a tree into itself doubles the mounts in it.
#[test]
fn mounts_in_a_circle_end_and_what_is_written_there_is_seen() {
    if !rustix::process::geteuid().is_root() {
        println!("cannot run here: mounts_in_a_circle: mounting needs root");
        return;
    }
    alone::with_own_mounts(|| {
        for mut watched in Watched::each_with(|at| fs::create_dir(at.join("in/loop")).unwrap()) {
            watched.sh("mount --bind in in; for n in 1 2 3 4 5 6; do mount --rbind in in/loop; done; printf x > in/early");
            watched.sees("in/early");

            watched.sh("printf x > in/loop/deep; printf x > in/late");

            let seen = watched.sees_until("in/late");
            assert!(seen.iter().any(|name| name.ends_with("deep")), "{seen:?}");
        }
    });
}

#[test]
fn lost_events_are_a_time_of_blindness_and_every_file_is_found_all_the_same() {
    const FILES: usize = 20_000;
    for mut watched in Watched::each() {
        watched.sh(&format!(
            "i=0; while [ $i -lt {FILES} ]; do : > in/$i; i=$((i+1)); done; printf x > in/last"
        ));

        let files = (0..FILES).map(|n| format!("in/{n}")).chain(["in/last".to_owned()]);

        watched.finds_all(&files.collect());
    }
}

/// Later than the walk goes back.
const SLACK_OF_THE_WALK: khien_core::time::SignedDuration =
    khien_core::time::SignedDuration::from_millis(2_500);

/// Both back ends, or the one that works here.
pub(super) fn backends() -> Vec<Backend> {
    match Fanotify::new() {
        Ok(_) => vec![Backend::Best, Backend::Notify],
        Err(e) => {
            println!("fanotify is not tested here: {e}");
            vec![Backend::Notify]
        }
    }
}

fn wait_until_after(at: Timestamp) {
    while Timestamp::now() <= at {
        std::thread::yield_now();
    }
}
