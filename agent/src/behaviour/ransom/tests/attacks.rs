//! What encrypts and is not told by one extension: each way is told with the 20th file.

use super::*;

/// Does so many of something; returns after how many of them it was told, and as what.
fn told_after(most: i64, mut does: impl FnMut(&mut Share, i64)) -> Option<(i64, Verdict)> {
    let mut share = Share::new();
    (1..=most).find_map(|n| {
        does(&mut share, n);
        share.told.pop().map(|verdict| (n, verdict))
    })
}

#[track_caller]
fn is_told_with_the_twentieth(does: impl FnMut(&mut Share, i64)) {
    let (after, verdict) = told_after(60, does).expect("nothing was told");
    assert_eq!((after, verdict.behaviour.deed.rule()), (20, "khien.ransom.mass_rewrite"));
    assert_eq!(verdict.behaviour.count, 20);
}

/// A process that comes from a shell that comes from a script.
fn grandchild(pid: i64) -> Process {
    let above = |pid| Ancestor::new(pid, Some("/usr/bin/bash".into()), None);
    let parent = u32::try_from(pid).unwrap() + 9_000;
    Process { ancestors: vec![above(parent), above(3_000)], ..child(pid, parent) }
}

fn name(n: i64) -> String {
    format!("{:016x}", n.wrapping_mul(0x5851_f42d_4c95_7f2d))
}

#[test]
fn copies_under_names_without_a_relation_to_the_removed_originals() {
    let noise = random(4_096);

    is_told_with_the_twentieth(|share, n| {
        share.replaces(&format!("{n}.docx"), (&name(n), &noise), [&locker(); 2], n * 50);
    });
}

#[test]
fn copies_whose_extension_takes_the_place_of_the_originals() {
    let noise = random(4_096);

    is_told_with_the_twentieth(|share, n| {
        share.replaces(
            &format!("{n}.pdf"),
            (&format!("{n}.k{n}"), &noise),
            [&child(n, 1), &child(n + 100, 1)],
            n * 50,
        );
    });
}

#[test]
fn copies_that_a_script_makes_with_one_program_and_removes_originals_with_another() {
    let noise = random(4_096);

    is_told_with_the_twentieth(|share, n| {
        share.replaces(
            &format!("{n}.xlsx"),
            (&name(n), &noise),
            [&child(n, 3_000), &child(n + 100, 3_000)],
            n * 50,
        );
    });
    is_told_with_the_twentieth(|share, n| {
        share.replaces(
            &format!("{n}.xlsx"),
            (&name(n), &noise),
            [&grandchild(n), &grandchild(n + 100)],
            n * 50,
        );
    });
}

#[test]
fn copies_that_a_script_of_init_writes_by_itself_and_originals_that_a_program_of_its_removes() {
    let noise = random(4_096);

    is_told_with_the_twentieth(|share, n| {
        let remover = child(n, locker().pid);
        share.replaces(&format!("{n}.xlsx"), (&name(n), &noise), [&locker(), &remover], n * 50);
    });
}

#[test]
fn originals_that_are_removed_first_or_all_at_the_end() {
    let noise = random(4_096);

    is_told_with_the_twentieth(|share, n| {
        share.does(&format!("{n}.jpg"), Change::Removed, Some(&locker()), (b"", n * 50));
        share.does(&name(n), Change::Created, Some(&locker()), (&noise, n * 50 + 1));
    });
    let mut share = Share::new();
    for n in 0..60 {
        share.does(&name(n), Change::Created, Some(&locker()), (&noise, n * 50));
    }
    for n in 0..20 {
        share.does(&format!("{n}.jpg"), Change::Removed, Some(&locker()), (b"", 4_000 + n * 50));
    }
    assert_eq!(share.rules(), ["mass_rewrite"]);
}

#[test]
fn removals_by_programs_that_were_gone_before_they_were_asked() {
    let noise = random(4_096);

    is_told_with_the_twentieth(|share, n| {
        let gone = Process { parent: None, ..child(n + 100, 0) };
        share.replaces(&format!("{n}.xlsx"), (&name(n), &noise), [&child(n, 3_000), &gone], n * 50);
    });
}

#[test]
fn an_extension_of_its_own_for_each_file() {
    let noise = random(4_096);

    is_told_with_the_twentieth(|share, n| {
        let from = Some(Untrusted::from(format!("{FOLDER}/{n}.docx").as_str()));
        share.does(
            &format!("{n}.docx.{}", name(n)),
            Change::MovedIn { from },
            Some(&locker()),
            (&noise, n * 50),
        );
    });
    is_told_with_the_twentieth(|share, n| {
        let from = Some(Untrusted::from(format!("{FOLDER}/{n}.docx").as_str()));
        share.does(&name(n), Change::MovedIn { from }, Some(&locker()), (&noise, n * 50));
    });
    for harmless in ["bak", "zip", "123", "tmp"] {
        is_told_with_the_twentieth(|share, n| {
            let from = Some(Untrusted::from(format!("{FOLDER}/{n}.docx").as_str()));
            share.does(
                &format!("{n}.{harmless}"),
                Change::MovedIn { from },
                Some(&locker()),
                (&noise, n * 50),
            );
        });
    }
}

#[test]
fn files_that_are_renamed_first_and_encrypted_later() {
    let noise = random(4_096);

    is_told_with_the_twentieth(|share, n| {
        let from = Some(Untrusted::from(format!("{FOLDER}/{n}.docx").as_str()));
        let plain = "van ban ".repeat(600).into_bytes();
        share.does(&name(n), Change::MovedIn { from }, Some(&locker()), (&plain, n * 50));
        share.does(&name(n), Change::Written, Some(&locker()), (&noise, n * 50 + 900));
    });
}

#[test]
fn an_encrypted_copy_that_is_moved_over_the_original() {
    let noise = random(4_096);

    is_told_with_the_twentieth(|share, n| {
        share.does("x.tmp", Change::Created, Some(&locker()), (&noise, n * 50));
        let from = Some(Untrusted::from(format!("{FOLDER}/x.tmp").as_str()));
        share.does(&format!("{n}.pdf"), Change::MovedIn { from }, Some(&locker()), (&noise, n * 50 + 1));
    });
}

#[test]
fn twenty_files_over_an_hour() {
    let noise = random(4_096);
    let minutes = |n| n * 170_000;

    is_told_with_the_twentieth(|share, n| {
        let kind = ["docx", "txt", "pdf"][n as usize % 3];
        share.does(&format!("{n}.{kind}"), Change::Written, Some(&locker()), (&noise, minutes(n)));
        share.ransom.tick(at(minutes(n)));
    });
    is_told_with_the_twentieth(|share, n| {
        share.does(&format!("{n}.docx"), Change::Written, Some(&locker()), (&noise, minutes(n)));
    });
    is_told_with_the_twentieth(|share, n| {
        share.replaces(&format!("{n}.txt"), (&name(n), &noise), [&locker(); 2], minutes(n));
    });
}

#[test]
fn twenty_files_by_as_many_processes_that_have_nothing_in_common() {
    let noise = random(4_096);

    is_told_with_the_twentieth(|share, n| {
        let kind = ["docx", "txt", "pdf"][n as usize % 3];
        share.does(&format!("{n}.{kind}"), Change::Written, Some(&child(n, 1)), (&noise, n * 50));
    });
}

#[test]
fn encryption_that_leaves_heads_whole() {
    let behind = |kind: &str| encrypted(document(kind, 300_000), std::iter::once(4_096..usize::MAX));
    let kinds = ["docx", "pdf", "jpg", "txt", "doc"].map(|kind| (kind, behind(kind)));

    is_told_with_the_twentieth(|share, n| {
        let (kind, content) = &kinds[n as usize % kinds.len()];
        share.does(&format!("{n}.{kind}"), Change::Written, Some(&locker()), (content, n * 50));
    });
    // Under names that tell nothing, in place or as copies.
    is_told_with_the_twentieth(|share, n| {
        let (kind, content) = &kinds[n as usize % 3];
        let from = Some(Untrusted::from(format!("{FOLDER}/{n}.{kind}").as_str()));
        share.does(&name(n), Change::MovedIn { from }, Some(&locker()), (content, n * 50));
    });
    is_told_with_the_twentieth(|share, n| {
        let (kind, content) = &kinds[n as usize % 3];
        share.replaces(&format!("{n}.{kind}"), (&name(n), content), [&locker(); 2], n * 50);
    });
}

#[test]
fn encryption_through_further_names_of_documents() {
    let (noise, begin) = (random(4_096), 100_000);
    let behind = encrypted(document("docx", 60_000), std::iter::once(4_096..usize::MAX));

    for (name, content) in [("x", &noise), ("x.docx", &noise), ("x", &behind)] {
        is_told_with_the_twentieth(|share, n| {
            let name = format!("{n}/{name}");
            share.links(&name, b"van ban", begin + n * 50);
            share.does(&name, Change::Written, Some(&locker()), (content, begin + n * 50 + 1));
        });
        // Or the document's own name is removed before it is written to.
        is_told_with_the_twentieth(|share, n| {
            let name = format!("{n}/{name}");
            share.links(&name, b"van ban", begin + n * 50);
            share.does(&format!("{n}.docx"), Change::Removed, Some(&locker()), (b"", begin + n * 50 + 1));
            share.does(&name, Change::Written, Some(&locker()), (content, begin + n * 50 + 2));
        });
    }
}

#[test]
fn a_mass_rename_by_shells_that_a_script_starts_for_each_file() {
    let (after, verdict) = told_after(60, |share, n| {
        let from = Some(Untrusted::from(format!("{FOLDER}/{n}.doc").as_str()));
        share.does(
            &format!("{n}.doc.locked"),
            Change::MovedIn { from },
            Some(&grandchild(n)),
            (b"x", n * 50),
        );
    })
    .unwrap();

    assert_eq!((after, verdict.behaviour.deed.rule()), (20, "khien.ransom.mass_rename"));
}

#[test]
fn a_mass_rename_that_becomes_slow_is_counted_to_its_end_and_another_extension_beside_it_changes_nothing() {
    let mut share = Share::new();
    let rename = |share: &mut Share, n: i64, to: &str, millis: i64| {
        let from = Some(Untrusted::from(format!("{FOLDER}/{n}.doc").as_str()));
        share.does(&format!("{n}.doc.{to}"), Change::MovedIn { from }, Some(&grandchild(n)), (b"x", millis));
    };
    (0..20).for_each(|n| rename(&mut share, n, "locked", n * 50));

    // A busy host: one in three seconds, and once none for half a minute.
    for n in 20..60 {
        rename(&mut share, n, "locked", n * 3_000 + if n < 40 { 0 } else { 30_000 });
        rename(&mut share, 1_000 + n, "other", n * 3_000);
        let told = share.ransom.tick(at(n * 3_000 + 1));
        share.told.extend(told);
    }
    let last = share.ransom.tick(at(600_000));
    share.told.extend(last);

    let locked = Deed::ManyRenamed { suffix: "locked".into() };
    assert!(share.told.iter().all(|v| v.behaviour.deed == locked), "{:?}", share.told);
    let counts: Vec<_> = share.told.iter().map(|v| v.behaviour.count).collect();
    assert!(counts.is_sorted() && counts[0] == 20 && *counts.last().unwrap() == 60, "{counts:?}");
}

#[test]
fn what_was_renamed_slowly_from_the_start_is_no_mass() {
    let told = told_after(60, |share, n| {
        let from = Some(Untrusted::from(format!("{FOLDER}/{n}.doc").as_str()));
        share.does(&format!("{n}.doc.mine"), Change::MovedIn { from }, Some(&locker()), (b"x", n * 3_000));
    });

    assert!(told.is_none(), "{told:?}");
}

#[test]
fn ids_that_are_given_again_are_not_one_process() {
    let told = told_after(60, |share, n| {
        let who = Process { started: Some(at(n * 40)), ..child(7, 1) };
        share.does(&format!("{n}.doc.mine"), Change::MovedIn { from: None }, Some(&who), (b"x", n * 50));
    });

    assert!(told.is_none(), "{told:?}");
}

#[test]
fn very_many_files_and_processes_take_little_memory() {
    let (mut share, noise) = (Share::new(), random(600));

    for n in 0..20_000 {
        let who = child(n % 4_000, 1 + u32::try_from(n % 700).unwrap());
        let from = Some(Untrusted::from(format!("{FOLDER}/{n}.doc").as_str()));
        share.does(&format!("{n}.doc.{}", name(n)), Change::MovedIn { from }, Some(&who), (&noise, n));
        share.disk.clear();
    }

    assert!(share.ransom.actors.remembered() <= 512);
    let newest = share.ransom.tick(at(200_000)).pop().unwrap();
    assert_eq!(newest.behaviour.count, 20_000);
}
