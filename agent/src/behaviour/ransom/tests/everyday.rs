//! What people and programs do to many files all day: no alert.

use super::*;

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
fn writing_of_everyday_work_is_no_mass() {
    let (mut share, noise) = (Share::new(), random(4_096));
    let with = |begin: &[u8]| [begin, &noise[..]].concat();
    let written: [(&str, &str, Vec<u8>); 9] = [
        ("docx", "/usr/bin/soffice.bin", document("docx", 40_000)),
        ("jpg", "/usr/bin/mogrify", document("jpg", 40_000)),
        ("pdf", "/usr/bin/gs", document("pdf", 40_000)),
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
fn the_same_page_in_very_many_folders_is_no_note() {
    let mut share = Share::new();
    let page = b"<html>Read the manual. Data is encrypted at rest. Contact us.</html>";

    for n in 0..300 {
        share.does(&format!("{n}/readme.html"), Change::Created, Some(&locker()), (page, n * 10));
    }

    assert_eq!(share.rules(), [""; 0]);
}

/// Does to sixty documents of all kinds what replaces each by one file, or all by one.
fn replaced(name: impl Fn(i64, &str) -> String, content: &[u8], who: [&Process; 2]) -> Share {
    let mut share = Share::new();
    for n in 0..60 {
        let kind = ["docx", "txt", "pdf", "log", "sql"][n as usize % 5];
        share.replaces(&format!("{n}.{kind}"), (&name(n, kind), content), who, n * 100);
    }
    share
}

#[test]
fn what_compresses_or_packs_documents_and_removes_them_is_no_mass() {
    let noise = random(4_096);
    let with = |begin: &[u8]| [begin, &noise[..]].concat();
    for (program, suffix, content) in [
        ("/usr/bin/gzip", "gz", with(b"\x1f\x8b\x08")),
        ("/usr/bin/xz", "xz", with(b"\xfd7zXZ")),
        ("/usr/bin/zstd", "zst", with(b"\x28\xb5\x2f\xfd")),
        ("/usr/lib/7zip/7z", "7z", with(b"7z\xbc\xaf\x27\x1c")),
        ("/usr/bin/zip", "zip", document("zip", 8_000)),
        ("/usr/bin/brotli", "br", noise.clone()),
    ] {
        let who = process(program, "root");
        let each = replaced(|n, kind| format!("{n}.{kind}.{suffix}"), &content, [&who; 2]);
        let instead = replaced(|n, _| format!("{n}.{suffix}"), &content, [&who; 2]);
        let through_another = replaced(|n, _| format!("zi{n:06}"), &document("streamed", 8_000), [&who; 2]);

        assert_eq!([each.rules(), instead.rules(), through_another.rules()], [[""; 0]; 3], "{program}");
    }
}

#[test]
fn an_archive_into_which_documents_are_moved_is_no_mass() {
    let (mut share, zip) = (Share::new(), process("/usr/bin/zip", "thu"));
    let archive = document("zip", 40_000);

    share.does("ziAb12Cd", Change::Created, Some(&zip), (&archive, 0));
    for n in 0..200 {
        share.does(&format!("{n}.docx"), Change::Removed, Some(&zip), (b"", n));
    }
    let from = Some(Untrusted::from(format!("{FOLDER}/ziAb12Cd").as_str()));
    share.does("all.zip", Change::MovedIn { from }, Some(&zip), (&archive, 300));

    assert_eq!(share.rules(), [""; 0]);
}

#[test]
fn rotated_and_compressed_logs_are_no_mass() {
    let (mut share, rotate) = (Share::new(), process("/usr/sbin/logrotate", "root"));
    let packed = [&b"\x1f\x8b\x08"[..], &random(4_096)].concat();

    for n in 0..60 {
        let from = Some(Untrusted::from(format!("{FOLDER}/{n}.log").as_str()));
        share.does(&format!("{n}.log.1"), Change::MovedIn { from }, Some(&rotate), (&random(4_096), n * 10));
        share.does(&format!("{n}.log"), Change::Created, Some(&rotate), (b"", n * 10 + 1));
        share.replaces(&format!("{n}.log.2"), (&format!("{n}.log.2.gz"), &packed), [&rotate; 2], n * 10 + 2);
    }

    assert_eq!(share.rules(), [""; 0]);
}

#[test]
fn a_repository_and_an_upgrade_are_no_mass_whoever_is_seen_to_do_it() {
    for who in [Some(process("/usr/bin/git", "dev")), Some(process("/usr/bin/dpkg", "root")), None] {
        let (mut share, text) = (Share::new(), "int main() { return 0; }\n".repeat(90));
        for n in 0..200 {
            let object = format!(".git/objects/{:02x}/{n:038x}", n % 256);
            let packed = [&b"\x78\x01"[..], &random(2_000)].concat();
            share.does(&object, Change::Created, who.as_ref(), (&packed, n * 5));
            share.does(&format!("src/{n}.c"), Change::Removed, who.as_ref(), (b"", n * 5 + 1));
            share.does(&format!("src/{n}.c"), Change::Created, who.as_ref(), (text.as_bytes(), n * 5 + 2));
            let new = Some(Untrusted::from(format!("{FOLDER}/doc/{n}.html.dpkg-new").as_str()));
            share.does(
                &format!("doc/{n}.html"),
                Change::MovedIn { from: new },
                who.as_ref(),
                (text.as_bytes(), n * 5),
            );
        }
        for n in 0..200 {
            share.does(
                &format!(".git/objects/{:02x}/{n:038x}", n % 256),
                Change::Removed,
                who.as_ref(),
                (b"", 2_000),
            );
        }

        assert_eq!(share.rules(), [""; 0], "{who:?}");
    }
}

#[test]
fn uploads_to_a_portal_are_no_mass_even_if_it_keeps_them_encrypted() {
    let (mut share, server) = (Share::new(), process("/usr/sbin/php-fpm8.2", "www-data"));
    let picture = document("jpg", 40_000);

    for n in 0..300 {
        share.does(&format!("uploads/{n}.jpg"), Change::Created, Some(&server), (&picture, n * 1_000));
        share.does(&format!("tmp/{n}.docx"), Change::Created, Some(&server), (b"PK", n * 1_000 + 1));
        share.does(
            &format!("store/{n:08x}"),
            Change::Created,
            Some(&server),
            (&random(4_096), n * 1_000 + 2),
        );
        share.does(&format!("tmp/{n}.docx"), Change::Removed, Some(&server), (b"", n * 1_000 + 3));
    }

    assert_eq!(share.rules(), [""; 0]);
}

#[test]
fn an_encrypted_backup_beside_people_who_remove_documents_is_no_mass() {
    let (mut share, backup, share_of) =
        (Share::new(), process("/usr/bin/restic", "root"), process("/usr/sbin/smbd", "thu"));

    for n in 0..100 {
        share.does(
            &format!("repo/data/{n:064x}"),
            Change::Created,
            Some(&backup),
            (&random(4_096), n * 1_000),
        );
        share.does(&format!("phong/{n}.docx"), Change::Removed, Some(&share_of), (b"", n * 1_000 + 500));
    }

    assert_eq!(share.rules(), [""; 0]);
}

#[test]
fn a_cache_of_compressed_pages_is_no_mass() {
    let (mut share, server) = (Share::new(), process("/usr/sbin/php-fpm8.2", "www-data"));

    for n in 0..100 {
        let page = format!("cache/{n}.html");
        share.replaces(&page, (&format!("cache/{n}_br"), &random(4_096)), [&server; 2], n * 100);
    }

    assert_eq!(share.rules(), [""; 0]);
}

#[test]
fn pictures_and_documents_that_are_edited_or_repaired_in_one_go_are_no_mass() {
    let (mut share, batch) = (Share::new(), process("/usr/bin/mogrify", "thu"));
    let kinds = ["jpg", "png", "pdf", "docx", "doc", "rtf", "mp4"].map(|kind| (kind, document(kind, 90_000)));

    for n in 0..60 {
        for (kind, content) in &kinds {
            share.does(&format!("{n}.{kind}"), Change::Written, Some(&batch), (content, n * 10));
            let from = Some(Untrusted::from(format!("{FOLDER}/{n}.{kind}_tmp").as_str()));
            share.does(&format!("{n}.{kind}"), Change::MovedIn { from }, Some(&batch), (content, n * 10 + 1));
        }
    }

    assert_eq!(share.rules(), [""; 0]);
}

#[test]
fn databases_that_are_written_and_vacuumed_are_no_mass() {
    let (mut share, content) = (Share::new(), document("db", 400_000));

    for n in 0..120 {
        share.does(
            &format!("{n}.db"),
            Change::Written,
            Some(&process("/usr/bin/sqlite3", "thu")),
            (&content, n * 10),
        );
    }

    assert_eq!(share.rules(), [""; 0]);
}

#[test]
fn backups_that_rotate_by_hard_links_are_no_mass() {
    let (mut share, keep) = (Share::new(), process("/usr/local/bin/rsnapshot", "root"));
    let secret = random(4_096);

    for n in 0..60 {
        // What did not change is another name of the file of yesterday, what did is a new file.
        share.links(&format!("daily.0/{n}.kdbx"), &secret, 100_000 + n * 10);
        share.does(&format!("daily.0/{n}.gpg"), Change::Created, Some(&keep), (b"", 100_000 + n * 10));
        share.does(&format!("daily.0/{n}.gpg"), Change::Written, Some(&keep), (&secret, 100_001 + n * 10));
        share.does(&format!("daily.7/{n}.kdbx"), Change::Removed, Some(&keep), (b"", 100_002 + n * 10));
    }

    assert_eq!(share.rules(), [""; 0]);
}
