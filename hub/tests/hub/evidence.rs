//! Evidence at rest, and evidence that a person brings.

use std::{fs, path::PathBuf};

use khien_core::{
    AlertId, IncidentId, Nonce, SealKey, Sha256, Timestamp,
    api::{BringEvidence, CloseIncident, OpenIncident},
    evidence::{CustodyAction, Evidence, MAX_SEALED, Origin},
    incident::Incident,
    seal::{OpenKey, SEED},
};
use rcgen::{KeyPair, PKCS_ED25519};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::common::{self, Agent, Client, Team};

const CONTENT: &[u8] = b"an image of a disk that somebody carried here by hand";

struct Scene {
    team: Team,
    agent: Agent,
    thu: Client,
    incident: IncidentId,
    key: SealKey,
}

impl Scene {
    async fn set() -> Self {
        let team = Team::start();
        let agent = team.agent("web-1").await;
        let thu = team.operator();
        team.speak(&agent).report(1, 1, &[common::found("/srv/a.php", b"x")]).await;
        let open = OpenIncident { title: None, alerts: vec![AlertId(1)] };
        let incident: Incident = thu.good(Method::POST, "/v1/incidents", &open).await;
        let key = team.evidence_key().await;
        Self { team, agent, thu, incident: incident.id, key }
    }

    fn again(&mut self) {
        self.team.kill();
        self.team.run();
        self.thu = self.team.operator();
    }

    async fn put(&self, upload: u8, offset: usize, bytes: &[u8]) -> (StatusCode, Value) {
        let path = format!("/v1/uploads/{}?offset={offset}", Nonce([upload; 16]));
        let (status, answer) = self.thu.raw(Method::PUT, &path, bytes.to_vec()).await.unwrap();
        (status, serde_json::from_slice(&answer).unwrap())
    }

    fn wanted(&self, upload: u8, plain: &[u8]) -> BringEvidence {
        let (name, sha256) = ("đĩa.img".into(), Sha256::of(plain));
        BringEvidence { upload: Nonce([upload; 16]), name, sha256, at: Timestamp::UNIX_EPOCH }
    }

    fn path(&self) -> String {
        format!("/v1/incidents/{}/evidence", self.incident)
    }

    /// Brings the content.
    async fn bring(&self, upload: u8) -> Evidence {
        let sealed = common::sealed_with(&self.key, CONTENT, upload);
        assert_eq!(self.put(upload, 0, &sealed).await.0, StatusCode::OK);
        self.thu.good(Method::POST, &self.path(), &self.wanted(upload, CONTENT)).await
    }

    async fn refused(&self, status: StatusCode, wanted: &BringEvidence) -> String {
        self.thu.bad(status, Method::POST, &self.path(), wanted).await
    }

    async fn export(&self) -> (StatusCode, Vec<u8>) {
        let path = format!("/v1/evidence/{}?incident={}", Sha256::of(CONTENT), self.incident);
        self.thu.raw(Method::GET, &path, Vec::new()).await.unwrap()
    }

    async fn kept(&self) -> Vec<Evidence> {
        let incident: Incident =
            self.thu.good(Method::GET, &format!("/v1/incidents/{}", self.incident), &()).await;
        incident.evidence
    }

    fn home(&self) -> PathBuf {
        self.team.home.path().join("hub")
    }

    /// Where the content lies.
    fn file(&self) -> PathBuf {
        let name = Sha256::of(CONTENT).to_string();
        self.home().join("evidence").join(&name[..2]).join(&name)
    }

    fn incoming(&self) -> usize {
        fs::read_dir(self.home().join("incoming")).unwrap().count()
    }
}

/// Tells whether any file below a folder holds some bytes.
fn holds(folder: &std::path::Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => holds(&path, bytes),
            false => fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes),
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_brings_is_evidence_once_with_who_brought_it() {
    let mut scene = Scene::set().await;

    let first = scene.bring(1).await;
    let again: Evidence = scene.thu.good(Method::POST, &scene.path(), &scene.wanted(1, CONTENT)).await;

    assert_eq!(first, again);
    assert_eq!((first.size, first.path.to_string()), (CONTENT.len() as u64, "đĩa.img".to_owned()));
    assert_eq!(first.origin, Origin::Brought { by: "thu".to_owned(), upload: Nonce([1; 16]) });
    let custody: Vec<_> = first.custody.iter().map(|c| (c.action, c.who.as_str(), c.sha256)).collect();
    let sha256 = Sha256::of(CONTENT);
    assert_eq!(custody, [(CustodyAction::Brought, "thu", sha256), (CustodyAction::Received, "hub", sha256)]);
    assert_eq!(scene.export().await, (StatusCode::OK, CONTENT.to_vec()));
    scene.again();
    assert_eq!(scene.export().await, (StatusCode::OK, CONTENT.to_vec()));
    let kept = scene.kept().await;
    assert_eq!((kept.len(), kept[0].custody.len()), (1, 4), "two exports stand in the record");
    assert_eq!(scene.incoming(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_evidence_can_be_read_in_the_folder_of_the_hub() {
    let scene = Scene::set().await;
    let sealed = common::sealed(&scene.key, CONTENT);

    assert_eq!(scene.put(1, 0, &sealed[..70]).await.0, StatusCode::OK);
    assert!(!holds(&scene.home(), CONTENT), "while it comes in");
    scene.bring(2).await;
    scene.export().await;

    assert!(!holds(&scene.home(), &CONTENT[..16]), "while it is kept");
    assert!(fs::read(scene.file()).unwrap().starts_with(b"KHSEAL\0\x01"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_brought_must_be_whole_sealed_to_this_hub_and_what_was_said() {
    let scene = Scene::set().await;
    let sealed = common::sealed(&scene.key, CONTENT);
    let other_key = common::sealed(&OpenKey::from_seed(&[3; SEED]).public(), CONTENT);

    assert_eq!(scene.put(1, 0, CONTENT).await.1["code"], "evidence_not_sealed");
    assert_eq!(scene.put(1, 0, &other_key).await.1["code"], "evidence_not_sealed");
    scene.refused(StatusCode::NOT_FOUND, &scene.wanted(1, CONTENT)).await;
    assert_eq!(scene.put(1, 0, &sealed[..60]).await.1["have"], 60);
    assert_eq!(scene.put(1, 61, &sealed[61..]).await.1["args"]["have"], 60, "a gap");
    scene.refused(StatusCode::CONFLICT, &scene.wanted(1, CONTENT)).await;
    assert_eq!(scene.put(2, 0, &sealed).await.0, StatusCode::OK);
    scene.refused(StatusCode::CONFLICT, &scene.wanted(2, b"something else")).await;
    let beyond = usize::try_from(MAX_SEALED).unwrap();
    assert_eq!(scene.put(3, beyond, b"x").await.0, StatusCode::PAYLOAD_TOO_LARGE);
    for name in [String::new(), "x".repeat(256)] {
        let wanted = BringEvidence { name: name.as_str().into(), ..scene.wanted(4, CONTENT) };
        scene.refused(StatusCode::BAD_REQUEST, &wanted).await;
    }

    assert!(scene.kept().await.is_empty());
    assert_eq!(scene.incoming(), 0, "what was refused is dropped");
    let rogue = scene.team.speak(&scene.agent);
    rogue.bad(StatusCode::FORBIDDEN, Method::POST, &scene.path(), &scene.wanted(1, CONTENT)).await;
    rogue.bad(StatusCode::FORBIDDEN, Method::GET, "/v1/evidence-key", &()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_upload_is_one_piece_of_evidence_and_none_goes_into_a_closed_incident() {
    let scene = Scene::set().await;
    scene.bring(1).await;
    let other = BringEvidence { sha256: Sha256::of(b"other"), ..scene.wanted(1, CONTENT) };

    scene.refused(StatusCode::CONFLICT, &other).await;
    let kept = fs::read(scene.file()).unwrap();
    assert_eq!(scene.put(1, 0, &common::sealed(&scene.key, b"other")).await.0, StatusCode::OK);
    assert_eq!(fs::read(scene.file()).unwrap(), kept, "what is sent again is written nowhere but aside");
    let done = CloseIncident { reason: "xong".to_owned() };
    let close = format!("/v1/incidents/{}/close", scene.incident);
    let _: Incident = scene.thu.good(Method::POST, &close, &done).await;
    assert_eq!(scene.put(2, 0, &common::sealed(&scene.key, CONTENT)).await.0, StatusCode::OK);

    let error = scene.refused(StatusCode::CONFLICT, &scene.wanted(2, CONTENT)).await;

    assert!(error.contains("is closed"), "{error}");
    assert_eq!(scene.kept().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_brought_in_part_is_gone_after_the_hub_starts_again() {
    let mut scene = Scene::set().await;
    let sealed = common::sealed(&scene.key, CONTENT);
    assert_eq!(scene.put(1, 0, &sealed[..60]).await.0, StatusCode::OK);

    scene.again();

    assert_eq!(scene.incoming(), 0);
    assert_eq!(scene.team.evidence_key().await, scene.key, "the key stays");
    scene.bring(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_was_kept_open_before_still_goes_out_and_new_bytes_take_its_place() {
    let scene = Scene::set().await;
    scene.bring(1).await;
    fs::write(scene.file(), CONTENT).unwrap();

    assert_eq!(scene.export().await, (StatusCode::OK, CONTENT.to_vec()));
    scene.bring(2).await;

    assert!(!holds(&scene.home(), CONTENT), "the open bytes are gone");
    assert_eq!(scene.export().await, (StatusCode::OK, CONTENT.to_vec()));
    assert_eq!(scene.kept().await.len(), 1);
    let folder = scene.file().parent().unwrap().to_owned();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_cannot_be_opened_is_told_and_never_given_out() {
    let mut scene = Scene::set().await;
    scene.bring(1).await;
    let (file, key) = (scene.file(), scene.home().join("evidence.key"));
    let (whole, right) = (fs::read(&file).unwrap(), fs::read(&key).unwrap());
    let said = |answer: &[u8]| serde_json::from_slice::<Value>(answer).unwrap()["error"].to_string();

    for (wrong, why) in [
        ([&whole[..60], &[whole[60] ^ 1], &whole[61..]].concat(), "altered"),
        (whole[..whole.len() - 1].to_vec(), "cut off"),
        (
            b"other open bytes, longer than what stands before the chunks of sealed evidence".to_vec(),
            "altered",
        ),
        (whole[..20].to_vec(), "altered"),
    ] {
        fs::write(&file, wrong).unwrap();
        let (status, answer) = scene.export().await;
        assert_eq!(status, StatusCode::CONFLICT);
        assert!(said(&answer).contains(why), "{}", said(&answer));
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(scene.export().await.0, StatusCode::CONFLICT);
    fs::write(&file, &whole).unwrap();
    fs::write(&key, OpenKey::from_seed(&[4; SEED]).to_text()).unwrap();
    scene.again();
    let (status, answer) = scene.export().await;
    let needed = scene.key.id().to_string();
    assert!(status == StatusCode::CONFLICT && said(&answer).contains(&needed), "{}", said(&answer));
    let only = |kept: &[Evidence]| kept[0].custody.iter().all(|c| c.action != CustodyAction::Exported);
    assert!(only(&scene.kept().await), "what did not go out does not stand in the record");

    fs::write(&key, right).unwrap();
    scene.again();

    assert_eq!(scene.export().await, (StatusCode::OK, CONTENT.to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_brought_twice_is_the_first_and_who_else_had_it_stands_in_its_record() {
    let mut scene = Scene::set().await;
    let first = scene.bring(1).await;
    let kept = fs::read(scene.file()).unwrap();

    let second = scene.bring(2).await;
    // The answer was lost: the same again, of which nothing is left to be opened.
    let again: Evidence = scene.thu.good(Method::POST, &scene.path(), &scene.wanted(2, CONTENT)).await;

    assert_eq!((&second, &again), (&first, &first));
    assert_eq!(fs::read(scene.file()).unwrap(), kept, "what is kept is not written over");
    assert_eq!((scene.kept().await.len(), scene.incoming()), (1, 0));
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let certificate = common::admit(&scene.team.home, "lan", &key);
    scene.thu = scene.team.client(Some((&key, &certificate)));
    let theirs = [scene.bring(3).await, scene.bring(4).await];
    let who = |e: &Evidence| e.custody.iter().map(|c| (c.action, c.who.clone())).collect::<Vec<_>>();
    // By the clocks of those who acted, and the test's stands still.
    let known =
        [(CustodyAction::Brought, "thu"), (CustodyAction::Brought, "lan"), (CustodyAction::Received, "hub")];
    let known: Vec<_> = known.map(|(action, who)| (action, who.to_owned())).into();
    assert_eq!(theirs.each_ref().map(who), [known.clone(), known]);
    assert_eq!(scene.kept().await, [theirs[1].clone()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_is_damaged_is_set_aside_when_its_bytes_come_again_and_that_is_told() {
    let scene = Scene::set().await;
    scene.bring(1).await;
    let whole = fs::read(scene.file()).unwrap();
    let damaged = [&whole[..60], &[whole[60] ^ 1], &whole[61..]].concat();
    fs::write(scene.file(), &damaged).unwrap();

    scene.bring(2).await;

    assert_eq!(scene.export().await, (StatusCode::OK, CONTENT.to_vec()));
    let aside = scene.file().with_extension("damaged");
    assert_eq!(fs::read(aside).unwrap(), damaged, "a person may look what became of it");
    let incident: Incident =
        scene.thu.good(Method::GET, &format!("/v1/incidents/{}", scene.incident), &()).await;
    let told = incident.timeline.iter().filter(|e| e.text.en.contains("set aside")).count();
    assert_eq!(told, 1, "{:?}", incident.timeline);
}
