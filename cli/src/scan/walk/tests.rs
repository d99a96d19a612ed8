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
            Found::File(listed) => files.push(listed.path.display().to_string().replace(&base, "")),
            Found::Not(done) => not.push(done.path.to_string().replace(&base, "")),
            Found::Process { pid, .. } => panic!("process {pid} in a walk over files"),
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

#[test]
fn a_file_that_was_renamed_is_named_again_and_one_that_is_gone_is_told() {
    let tree = tempfile::tempdir().unwrap();
    let dir = tree.path().canonicalize().unwrap();
    for name in ["renamed", "removed", "calm"] {
        fs::write(dir.join(name), "x").unwrap();
    }
    let (found, heard) = sync_channel(8);
    Walk::new(false, Arc::default(), found).run(std::slice::from_ref(&dir));
    fs::rename(dir.join("renamed"), dir.join("other")).unwrap();
    // Its number may not be given to a file that comes.
    let held = fs::File::open(dir.join("removed")).unwrap();
    fs::remove_file(dir.join("removed")).unwrap();
    let mut again = Again::default();
    for listed in heard.iter().filter_map(|found| if let Found::File(l) = found { Some(l) } else { None }) {
        if !listed.path.exists() {
            assert!(again.take(&listed.path, listed.number.unwrap()));
        }
    }
    assert!(again.take(Path::new("/nothing/here/at/all"), 1));

    let (found, heard) = sync_channel(8);
    Walk::new(false, Arc::default(), found).again(again);

    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut told: Vec<_> = heard
        .iter()
        .map(|found| match found {
            Found::File(listed) => (name(&listed.path), "file"),
            Found::Process { pid, .. } => panic!("process {pid} in a folder"),
            Found::Not(Done { path, ended: How::Gone(None), .. }) => (path.to_string(), "gone"),
            Found::Not(done) => panic!("{done:?}"),
        })
        .collect();
    told.sort();
    let gone = dir.join("removed").display().to_string();
    let mut wanted =
        [("/nothing/here/at/all".to_owned(), "gone"), (gone, "gone"), ("other".to_owned(), "file")];
    wanted.sort();
    assert_eq!(told, wanted);
    drop(held);
}
