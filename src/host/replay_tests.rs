use crate::host::testbed::Testbed;

fn bed_with(segments: &[(u64, u64)], snapshots: &[(u64, u64)]) -> Testbed {
    let bed = Testbed::new();
    for (number, first) in segments {
        let at = bed.path(&format!("data/member/wal/{number:016x}-{first:016x}.wal"));
        bed.write(&at, &format!("segment {number}\0\0\0"));
    }
    bed.write(&bed.path("data/member/snap/db"), "db");
    for (term, index) in snapshots {
        bed.write(
            &bed.path(&format!("data/member/snap/{term:016x}-{index:016x}.snap")),
            "snapshot",
        );
    }
    bed
}

async fn segments(bed: &Testbed) -> Vec<String> {
    let tail = bed
        .host()
        .raft_tail()
        .await
        .unwrap()
        .expect("a log that is worth reading");
    tail.segments
        .into_iter()
        .map(|(_, bytes)| String::from_utf8(bytes).unwrap().trim_end_matches('\0').to_owned())
        .collect()
}

#[tokio::test]
async fn what_follows_the_newest_snapshot_is_given_out_and_nothing_before() {
    let bed = bed_with(&[(0, 0), (1, 0x0a), (2, 0x14)], &[(1, 0x09), (3, 0x0f)]);
    assert_eq!(segments(&bed).await, ["segment 1", "segment 2"]);
    let tail = bed.host().raft_tail().await.unwrap().unwrap();
    assert_eq!(
        tail.snapshots,
        [
            "0000000000000001-0000000000000009.snap",
            "0000000000000003-000000000000000f.snap"
        ]
    );
    assert_eq!(tail.segments[0].0, "0000000000000001-000000000000000a.wal");
    // Right behind the snapshot a segment begins.
    assert_eq!(
        segments(&bed_with(&[(0, 0), (1, 0x10)], &[(3, 0x0f)])).await,
        ["segment 1"]
    );
}

#[tokio::test]
async fn without_a_snapshot_all_of_it_counts_and_too_much_is_not_read() {
    let bed = bed_with(&[(0, 0), (1, 0x0a)], &[]);
    assert_eq!(segments(&bed).await, ["segment 0", "segment 1"]);
    assert!(bed.host().raft_tail().await.unwrap().unwrap().snapshots.is_empty());
    let many: Vec<(u64, u64)> = (0..9).map(|n| (n, n * 100)).collect();
    assert!(bed_with(&many, &[]).host().raft_tail().await.unwrap().is_none());
}

#[tokio::test]
async fn no_log_is_an_error_and_never_an_empty_one() {
    let error = Testbed::new().host().raft_tail().await.unwrap_err();
    assert!(error.to_string().contains("there is no"), "{error}");
    assert!(bed_with(&[], &[(1, 5)]).host().raft_tail().await.is_err());
}
