//! A captured hub: what it makes up, changes or repeats, the agent refuses and tells.

use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use khien_core::{
    AgentId, Nonce, RunId, Sha256, Timestamp, Untrusted,
    mandate::{MAX_LIFE, Mandate},
    order::{Allowed, FileTarget, Verb},
    signature::Signed,
    time::{self, SignedDuration},
};
use rusqlite::{Connection, params};
use serde_json::Value;

use crate::{
    harness::{Site, Up, sha256, web_shell},
    playbook::{asked, incident, state},
};

/// The hub as an attacker has it: every row can be written.
struct Captured {
    store: Connection,
    agent: AgentId,
    operator: SigningKey,
}

impl Captured {
    fn new(site: &Site) -> Self {
        let agent = site.json(&["agent", "list"])[0]["id"].as_str().unwrap().parse().unwrap();
        let folder = std::fs::read_dir(site.home.join("hub")).unwrap().flatten();
        let is_store = |p: &std::path::Path| p.extension().is_some_and(|e| e == "db" || e == "sqlite");
        let path = folder.map(|e| e.path()).find(|p| is_store(p)).expect("the hub has a store");
        let store = Connection::open(path).unwrap();
        store.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        Self { store, agent, operator: operator(site) }
    }

    /// Returns a mandate to quarantine a file, good in every way.
    fn mandate(&self, path: &std::path::Path, content: &str, nonce: u8) -> Mandate {
        let file = FileTarget {
            path: Untrusted::from(path.to_str().unwrap()),
            sha256: sha256(content).parse().unwrap(),
        };
        let now = Timestamp::now();
        Mandate {
            run: RunId([nonce; 16]),
            playbook: Sha256([0; 32]),
            orders: vec![Allowed {
                step: "quarantine".parse().unwrap(),
                agent: self.agent,
                verb: Verb::QuarantineFile(file),
            }],
            issued: now,
            expires: time::after(now, MAX_LIFE),
            nonce: Nonce([nonce; 16]),
        }
    }

    /// Puts an order in the store as if the hub had given it.
    fn plant(&self, mandate: &Mandate, signed: &Signed) {
        let later = time::after(Timestamp::now(), SignedDuration::from_mins(10)).as_microsecond();
        let body = serde_json::to_string(signed).unwrap();
        self.store
            .execute(
                "INSERT INTO mandates (nonce, run, added, by, body) VALUES (?1, ?2, 0, 'mallory', ?3)",
                params![mandate.nonce.0, mandate.run.0, body],
            )
            .unwrap();
        let allowed = serde_json::to_string(&mandate.orders[0]).unwrap();
        self.store
            .execute(
                "INSERT INTO orders (id, run, nonce, place, agent, by, created, expires, allowed)
                 VALUES (?1, ?2, ?3, 0, ?4, 'mallory', 0, ?5, ?6)",
                params![mandate.order_id(0).0, mandate.run.0, mandate.nonce.0, self.agent.0, later, allowed],
            )
            .unwrap();
    }
}

/// Reads the operator's key: the last 32 bytes of its PKCS#8 form are the seed (RFC 8410).
fn operator(site: &Site) -> SigningKey {
    let pem = std::fs::read_to_string(site.home.join("operator/key.pem")).unwrap();
    let base64: String = pem.lines().filter(|l| !l.starts_with('-')).collect();
    let der = BASE64.decode(base64.as_bytes()).unwrap();
    SigningKey::from_bytes(der[der.len() - 32..].try_into().unwrap())
}

fn refused(up: &mut Up<'_>, why: &str) -> Value {
    let fits = |a: &Value| {
        a["rule"] == "khien.order.refused" && a["what"]["en"].as_str().is_some_and(|w| w.contains(why))
    };
    up.alert(&format!("alert for an order that is refused: {why}"), fits)
}

#[test]
fn what_no_operator_signed_is_refused_and_raises_an_alert() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let (name, content) = ("target.php", web_shell("target.php"));
    site.shell_alert(&mut up, name);
    let path = site.web.join(name);
    let hub = Captured::new(&site);

    let mandate = hub.mandate(&path, &content, 1);
    let mut unsigned = mandate.sign(&hub.operator);
    unsigned.signatures.clear();
    hub.plant(&mandate, &unsigned);

    let mandate = hub.mandate(&path, &content, 2);
    let mut altered = mandate.sign(&hub.operator);
    altered.body = altered.body.replace("quarantine\"", "quarantinE\"");
    hub.plant(&mandate, &altered);

    let mandate = hub.mandate(&path, &content, 3);
    hub.plant(&mandate, &mandate.sign(&SigningKey::from_bytes(&[9; 32])));

    let mut mandate = hub.mandate(&path, &content, 4);
    mandate.issued = time::after(mandate.issued, SignedDuration::from_mins(-20));
    mandate.expires = time::after(mandate.issued, MAX_LIFE);
    hub.plant(&mandate, &mandate.sign(&hub.operator));

    let mut mandate = hub.mandate(&path, &content, 5);
    mandate.orders[0].agent = AgentId([7; 32]);
    hub.plant(&mandate, &mandate.sign(&hub.operator));

    for why in ["not signed", "altered", "not trusted", "expired", "meant for agent"] {
        let alert = refused(&mut up, why);
        assert_eq!(alert["severity"], "critical", "{alert}");
    }
    assert!(path.exists(), "none of them was obeyed");
}

#[test]
fn an_order_that_was_carried_out_is_refused_when_it_comes_again() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let incident = incident(&site, &mut up, "once.php");
    let run = asked(&site, &incident);
    site.json(&["run", "approve", &run, "--yes", "--wait"]);
    state(&site, &run, "done");
    let path = site.write("once.php", &web_shell("once.php"));
    let hub = Captured::new(&site);

    let changed = hub.store.execute("UPDATE orders SET receipt = NULL", []).unwrap();

    assert!(changed > 0);
    refused(&mut up, "carried out before");
    assert!(path.exists(), "the file that came after is not touched by the old order");
}
