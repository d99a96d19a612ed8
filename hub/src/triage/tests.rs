use super::*;

fn described(rule: &str, policy: &str, differs: &Differs) -> Described {
    let pack = Pack {
        version: 1,
        created: Timestamp::UNIX_EPOCH,
        rules: Vec::new(),
        sources: Vec::new(),
        domains: Vec::new(),
        sets: Vec::new(),
        network: khien_core::bundle::NetworkLists::default(),
        policy: Some(serde_json::from_str(policy).unwrap()),
    };
    describe(&rule.parse().unwrap(), Some(&pack), Some(differs))
}

#[test]
fn how_bad_a_changed_file_is_says_the_teams_policy() {
    let policy = r#"{"integrity": [
        {"name": "cron", "paths": [], "severity": "low", "severities": {"rights": "critical"}, "technique": "T9"},
        {"name": "ours", "paths": [], "severity": "medium"}]}"#;

    let cron = described("khien.integrity.cron", policy, &Differs::Content);
    assert_eq!((cron.severity, cron.technique.as_deref()), (Severity::Low, Some("T9")));
    assert_eq!(cron.title.en, "A cron schedule changed");
    let rights = described("khien.integrity.cron", policy, &Differs::Rights);
    assert_eq!(rights.severity, Severity::Critical);
    let ours = described("khien.integrity.ours", policy, &Differs::Added);
    assert_eq!((ours.severity, ours.title.en.ends_with(": ours")), (Severity::Medium, true));
    assert!(!ours.next_step.is_empty());
    let of_an_older_agent = described("khien.integrity.ssh", policy, &Differs::Added);
    assert_eq!(of_an_older_agent.severity, Severity::High);
}
