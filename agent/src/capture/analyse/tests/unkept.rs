//! Records that are lost are told.

use khien_core::traffic::Tls;

use super::*;

#[tokio::test]
async fn records_that_find_no_room_are_told_as_one_loss() {
    let (reports, mut told) = mpsc::channel(16);
    let records = Records::stuck();
    let links =
        Links { records: Some(records.clone()), ..links(reports, Arc::default(), watch::channel(false).1) };
    let scopes = [("lo".to_owned(), Arc::<Tally>::default())];
    let mut analyst = Analyst::new(scopes, (Arc::default(), None), Arc::new(MarkScanner), links);
    let ends = eyes::ends(1, &job_of(1).facts);
    let sni = Some("x".repeat(200 << 10).as_str().into());
    let tls = What::Tls(Box::new(Tls { sni, ..Default::default() }));
    let record = Record { at: Timestamp::now(), ends, what: tls };

    (0..100).for_each(|_| records.keep([&record]));
    analyst.tell_losses().await;
    (0..10).for_each(|_| records.keep([&record]));
    analyst.tell_rest().await;
    drop(analyst);

    let Some(Report::Blind { scope, cause, lost, .. }) = told.recv().await else { panic!("not told") };
    assert_eq!((scope, cause), ("records".into(), Reason::RecordsLost));
    assert!(lost.is_some_and(|lost| (60..110).contains(&lost)), "{lost:?}");
    assert_eq!(told.recv().await, None);
}
