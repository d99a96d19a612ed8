//! Real trees.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    sync::mpsc::sync_channel,
    thread,
};

use super::*;

/// Returns the files and what could not be walked, below the first root, and what was passed by.
fn walked(roots: &[&Path]) -> (Vec<String>, Vec<String>, Passed) {
    let (found, heard) = sync_channel(4);
    let roots: Vec<PathBuf> = roots.iter().map(|r| r.to_path_buf()).collect();
    let base = roots[0].canonicalize().unwrap_or_default().display().to_string();
    let walk = Walk::new(false, Arc::default(), found);
    let walk = thread::spawn(move || walk.run(&roots));
    let (mut files, mut not) = (Vec::new(), Vec::new());
    for found in heard {
        match found {
            Found::File(path) => files.push(path.display().to_string().replace(&base, "")),
            Found::Not(done) => not.push(done.path.to_string().replace(&base, "")),
        }
    }
    files.sort();
    (files, not, walk.join().unwrap())
}

#[test]
fn files_at_every_depth_are_found_and_links_and_pipes_are_counted() {
    let tree = tempfile::tempdir().unwrap();
    let dir = tree.path();
    fs::create_dir_all(dir.join("a/b")).unwrap();
    fs::write(dir.join("a/b/deep"), "x").unwrap();
    fs::write(dir.join("top"), "x").unwrap();
    symlink("/etc", dir.join("out")).unwrap();
    symlink(dir, dir.join("a/round")).unwrap();
    let _socket = UnixListener::bind(dir.join("socket")).unwrap();

    let (files, not, passed) = walked(&[dir]);

    assert_eq!(files, ["/a/b/deep", "/top"]);
    assert_eq!(not, [""; 0]);
    assert_eq!((passed.folders, passed.links, passed.special), (3, 2, 1));
}

#[test]
fn a_link_that_is_named_is_followed_and_what_is_not_there_is_told() {
    let tree = tempfile::tempdir().unwrap();
    let dir = tree.path().join("real");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("file"), "x").unwrap();
    symlink(&dir, tree.path().join("link")).unwrap();

    let (files, not, _) = walked(&[&tree.path().join("link"), Path::new("/nothing/here")]);

    assert_eq!(files, ["/file"]);
    assert_eq!(not, ["/nothing/here"]);
}

#[test]
fn a_tree_without_end_is_told_and_left() {
    let tree = tempfile::tempdir().unwrap();
    let mut deep = tree.path().to_path_buf();
    for _ in 0..=MAX_DEEP {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();

    let (_, not, passed) = walked(&[tree.path()]);

    assert_eq!(not.len(), 1);
    assert_eq!(passed.folders, MAX_DEEP as u64);
}

#[test]
fn what_a_kernel_makes_up_is_walked_only_when_it_is_named() {
    let fd = opened(CWD, OsStr::new("/proc")).unwrap();
    let disk = opened(CWD, OsStr::new("/usr")).unwrap();

    assert!(is_made_up(&fd) && !is_made_up(&disk));
}
