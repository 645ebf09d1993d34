use std::fs;

use super::*;

fn quiet(_: u64, _: Option<u64>) {}

#[test]
fn addresses_are_read_as_they_are_written() {
    for text in [
        "/mnt/usb",
        "backups",
        "s3://bucket",
        "s3://bucket/a/b",
        "ssh://10.0.0.9/srv/backups",
        "ssh://keeper@host.example:2222/srv/backups",
        "ssh://[fd77::9]:22/srv",
    ] {
        assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
    }
    assert_eq!("s3://b/p/".parse::<Address>().unwrap().to_string(), "s3://b/p");
    for text in [
        "",
        "s3://",
        "ftp://x/y",
        "ssh://host",
        "ssh://host/",
        "ssh://@host/x",
        "ssh://h:x/y",
        "ssh://h/a b",
    ] {
        assert!(text.parse::<Address>().is_err(), "{text}");
    }
}

#[tokio::test]
async fn a_directory_keeps_what_it_is_given_and_overwrites_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine");
    fs::write(&file, vec![7; 40_000]).unwrap();
    let place = StorePlace::directory(&dir.path().join("far/away")).unwrap();
    place.put(&file, "a.qbackup", &quiet).await.unwrap();
    let error = place.put(&file, "a.qbackup", &quiet).await.unwrap_err();
    assert!(matches!(error, PlaceError::Exists { .. }), "{error}");
    fs::write(dir.path().join("far/away/notes.txt"), "mine").unwrap();
    let listed = place.list().await.unwrap();
    assert_eq!(
        listed,
        [Stored {
            name: "a.qbackup".into(),
            bytes: 40_000
        }]
    );
    assert_eq!(place.begins("a.qbackup", 10).await.unwrap(), vec![7; 10]);
    let back = dir.path().join("back");
    place.get("a.qbackup", &back, &quiet).await.unwrap();
    assert_eq!(fs::read(&back).unwrap(), vec![7; 40_000]);
    place.delete("a.qbackup").await.unwrap();
    let error = place.delete("a.qbackup").await.unwrap_err();
    assert!(matches!(error, PlaceError::Missing { .. }), "{error}");
    assert!(place.list().await.unwrap().is_empty());
}
