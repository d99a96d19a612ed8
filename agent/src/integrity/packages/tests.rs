use super::{
    super::place::{Look, look},
    *,
};

/// A database that knows one unit, and where the unit lies.
struct Host {
    _root: tempfile::TempDir,
    unit: PathBuf,
    packages: Packages,
    policy: Policy,
}

impl Host {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().canonicalize().unwrap();
        let unit = dir.join("x.service");
        fs::create_dir_all(dir.join("dpkg/info")).unwrap();
        fs::write(&unit, "packaged").unwrap();
        let json = format!(
            r#"{{"integrity": [{{"name": "g", "severity": "low", "paths": ["{}/"]}}]}}"#,
            dir.display()
        );
        let host = Self {
            packages: Packages::at(&dir.join("dpkg")),
            policy: serde_json::from_str(&json).unwrap(),
            unit,
            _root: root,
        };
        host.list(&host.state());
        fs::write(host.packages.dir.join("status"), "Package: x\n").unwrap();
        host
    }

    fn list(&self, state: &State) {
        let digest = data_encoding::HEXLOWER.encode(&state.md5.unwrap());
        let line = format!("{digest}  {}\n", self.unit.strip_prefix("/").unwrap().display());
        fs::write(self.packages.dir.join("info/x.md5sums"), line).unwrap();
    }

    fn state(&self) -> State {
        let mut state = look(&self.unit, Look { text: false, behind: None }).unwrap().unwrap().state;
        // The tests may run as anybody.
        state.facts.uid = 0;
        state
    }

    fn verdict(&mut self, differs: &Differs, now: Option<&State>) -> Verdict {
        self.packages.refresh(&self.policy);
        let before = self.state();
        self.packages.judge(&self.unit, differs, Some((&before, true)), now)
    }
}

#[test]
fn a_file_that_is_as_its_package_says_is_the_package_managers_work() {
    let mut host = Host::new();
    let state = host.state();

    assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Packaged);
    assert_eq!(host.verdict(&Differs::Added, Some(&state)), Verdict::Packaged);
    assert_eq!(host.verdict(&Differs::Rights, Some(&state)), Verdict::Unknown);
}

#[test]
fn another_content_is_not() {
    let mut host = Host::new();
    fs::write(&host.unit, "tampered").unwrap();
    let state = host.state();

    assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Unknown);
}

#[test]
fn a_database_that_was_written_in_another_order_than_dpkgs_vouches_for_nothing() {
    let mut host = Host::new();
    let mut late = host.state();
    late.stamp.changed.0 += SLACK + 1;

    assert_eq!(host.verdict(&Differs::Content, Some(&late)), Verdict::Unknown);
}

#[test]
fn a_packaged_file_that_runs_as_its_owner_is_told() {
    let mut host = Host::new();
    let mut state = host.state();
    state.facts.mode |= 0o4000;

    assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Unknown);
}

#[test]
fn a_packaged_file_that_goes_with_its_package_is_quiet_and_alone_is_told() {
    let mut host = Host::new();
    assert_eq!(host.verdict(&Differs::Removed, None), Verdict::Unknown);

    fs::remove_file(host.packages.dir.join("info/x.md5sums")).unwrap();
    host.packages.forget();

    assert_eq!(host.verdict(&Differs::Removed, None), Verdict::Packaged);
}

#[test]
fn conffiles_are_read_too_and_without_a_database_nothing_is_known() {
    let mut host = Host::new();
    let state = host.state();
    let digest = data_encoding::HEXLOWER.encode(&state.md5.unwrap());
    fs::remove_file(host.packages.dir.join("info/x.md5sums")).unwrap();
    let text = format!("Package: x\nConffiles:\n {} {digest}\n", host.unit.display());
    fs::write(host.packages.dir.join("status"), text).unwrap();
    assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Packaged);

    host.packages = Packages::at(Path::new("/nonexistent"));
    assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Unknown);
}

#[test]
fn while_dpkg_holds_its_lock_a_change_waits() {
    let mut host = Host::new();
    fs::write(&host.unit, "tampered").unwrap();
    let state = host.state();
    let lock = fs::File::create(host.packages.dir.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();

    assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Wait);
    drop(lock);
    assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Unknown);
}

#[test]
fn a_pipe_in_the_database_holds_nobody_up() {
    let mut host = Host::new();
    for name in ["info/a.md5sums", "other"] {
        let at = host.packages.dir.join(name);
        rustix::fs::mknodat(rustix::fs::CWD, at, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .unwrap();
    }
    let state = host.state();

    assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Packaged);
    fs::rename(host.packages.dir.join("other"), host.packages.dir.join("status")).unwrap();
    fs::remove_file(host.packages.dir.join("info/x.md5sums")).unwrap();
    assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Unknown);
}

#[test]
fn a_word_in_the_place_of_a_digest_stops_nobody() {
    let mut host = Host::new();
    let text =
        format!("Package: x\nConffiles:\n {} newconffile\n {} \n", host.unit.display(), host.unit.display());
    fs::write(host.packages.dir.join("status"), text).unwrap();
    let state = host.state();

    assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Packaged, "as the list says");
}

/// A host of rpm.
fn of_rpm() -> Host {
    let mut host = Host::new();
    let rpm = host.packages.dir.with_file_name("rpm");
    fs::create_dir(&rpm).unwrap();
    host.packages = Packages { rpm: vec![rpm], ..Packages::at(Path::new("/nonexistent")) };
    host
}

fn write_rpm(host: &Host, sha256: &str) {
    let (folder, name) = (host.unit.parent().unwrap(), host.unit.file_name().unwrap());
    let folder = format!("{}/", folder.display());
    let header = rpm::tests::header(&folder, &[(name.to_str().unwrap(), sha256, 0o100_644)]);
    rpm::tests::database(&host.packages.rpm[0].join(RPM_DATABASE), &[header]);
}

#[test]
fn a_file_that_is_as_rpm_says_is_the_package_managers_work() {
    let mut host = of_rpm();
    let state = host.state();
    write_rpm(&host, &Sha256::of(b"packaged").to_string());

    assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Packaged);
    assert!(!host.packages.are_unverified());
    let mut late = state.clone();
    late.stamp.changed.0 += SLACK + 2;
    assert_eq!(host.verdict(&Differs::Content, Some(&late)), Verdict::Unknown);
    fs::write(&host.unit, "tampered").unwrap();
    let state = host.state();
    assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Unknown);
}

#[test]
fn while_rpm_holds_its_lock_a_change_waits() {
    let mut host = of_rpm();
    write_rpm(&host, &Sha256::of(b"other").to_string());
    let state = host.state();
    let lock = fs::File::create(host.packages.rpm[0].join(".rpm.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();

    assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Wait);
}

#[test]
fn a_database_that_cannot_be_asked_vouches_for_nothing_and_is_told() {
    let mut host = of_rpm();
    let state = host.state();
    assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Unknown);
    assert!(host.packages.are_unverified(), "an older kind of database");

    fs::write(host.packages.rpm[0].join(RPM_DATABASE), "no database".repeat(100)).unwrap();

    assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Unknown);
    assert_eq!(host.verdict(&Differs::Removed, None), Verdict::Unknown, "it has not gone with its package");
    assert!(host.packages.are_unverified());
}

#[test]
fn merged_folders_are_one() {
    assert_eq!(key(b"/usr/lib/systemd/system/x"), key(b"/lib/systemd/system/x"));
    assert_ne!(key(b"/usr/local/lib/x"), key(b"/lib/x"));
}
