use std::fs;

use super::*;
use crate::backup::Source;

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

/// A directory in which somebody else does something as soon as it has been listed, and to the list.
struct Meddled<F>(StorePlace, F);

#[async_trait]
impl<F: Fn(&mut Vec<Stored>) + Send + Sync> Place for Meddled<F> {
    async fn put(&self, file: &Path, name: &str, progress: Progress<'_>) -> Result<(), PlaceError> {
        self.0.put(file, name, progress).await
    }

    async fn list(&self) -> Result<Vec<Stored>, PlaceError> {
        let mut listed = self.0.list().await?;
        (self.1)(&mut listed);
        Ok(listed)
    }

    async fn begins(&self, name: &str, bytes: u64) -> Result<Vec<u8>, PlaceError> {
        self.0.begins(name, bytes).await
    }

    async fn get(&self, name: &str, to: &Path, progress: Progress<'_>) -> Result<(), PlaceError> {
        self.0.get(name, to, progress).await
    }

    async fn delete(&self, name: &str) -> Result<(), PlaceError> {
        self.0.delete(name).await
    }
}

#[tokio::test]
async fn a_backup_that_goes_while_it_is_listed_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine");
    fs::write(&file, "no backup at all").unwrap();
    let far = dir.path().join("far");
    let place = Meddled(StorePlace::directory(&far).unwrap(), |listed: &mut Vec<Stored>| {
        for file in listed.iter().filter(|file| file.name.starts_with("old")) {
            fs::remove_file(far.join(&file.name)).unwrap();
        }
    });
    place.put(&file, "old.qbackup", &quiet).await.unwrap();
    let cluster = "prod-a".parse().unwrap();
    assert!(
        backups(&place, &cluster, &Trust::default(), Timestamp::now())
            .await
            .is_ok_and(|listing| listing.kept.is_empty() && listing.unreadable.is_empty())
    );
    assert!(place.list().await.unwrap().is_empty());
}

/// One that cannot be read does not hide the others, and a pipe that appears after the look is not waited for.
#[tokio::test]
async fn what_cannot_be_read_is_told_beside_what_can() {
    let dir = tempfile::tempdir().unwrap();
    let place = StorePlace::directory(dir.path()).unwrap();
    let good = include_bytes!("../testdata/unsigned-1.qbackup");
    for name in ["a.qbackup", "m.qbackup", "z.qbackup"] {
        fs::write(dir.path().join(name), good).unwrap();
    }
    let cluster = Source::open(&dir.path().join("a.qbackup"))
        .unwrap()
        .manifest()
        .unwrap()
        .cluster
        .clone();
    // Exchanged for a pipe as soon as it has been listed; listed again all the same.
    let piped = dir.path().join("m.qbackup");
    let place = Meddled(place, |listed: &mut Vec<Stored>| {
        if fs::metadata(&piped).unwrap().is_file() {
            fs::remove_file(&piped).unwrap();
            let made = std::process::Command::new("mkfifo").arg(&piped).status().unwrap();
            assert!(made.success());
        } else {
            let bytes = listed[0].bytes;
            listed.push(Stored {
                name: "m.qbackup".into(),
                bytes,
            });
        }
    });
    let listing = backups(&place, &cluster, &Trust::default(), Timestamp::now())
        .await
        .unwrap();
    let names: Vec<_> = listing.kept.iter().map(|kept| kept.file.name.as_str()).collect();
    assert_eq!(names, ["z.qbackup", "a.qbackup"]);
    assert_eq!(listing.unreadable[0].0.name, "m.qbackup");
    let why = listing.unreadable[0].1.to_string();
    assert!(why.contains("not a file"), "{why}");
    let got = place.get("m.qbackup", &dir.path().join("x"), &quiet).await;
    assert!(got.unwrap_err().to_string().contains("not a file"));
}

/// A place with many files whose every answer is slow.
#[tokio::test(start_paused = true)]
async fn a_place_in_which_everything_is_slow_is_given_up() {
    struct Slow;
    #[async_trait]
    impl Place for Slow {
        async fn put(&self, _: &Path, _: &str, _: Progress<'_>) -> Result<(), PlaceError> {
            unreachable!()
        }
        async fn list(&self) -> Result<Vec<Stored>, PlaceError> {
            let named = |n: usize| Stored {
                name: format!("{n}.qbackup"),
                bytes: 9,
            };
            Ok((0..5000).map(named).collect())
        }
        async fn begins(&self, _: &str, _: u64) -> Result<Vec<u8>, PlaceError> {
            tokio::time::sleep(Duration::from_secs(20)).await;
            Ok(Vec::new())
        }
        async fn get(&self, _: &str, _: &Path, _: Progress<'_>) -> Result<(), PlaceError> {
            unreachable!()
        }
        async fn delete(&self, _: &str) -> Result<(), PlaceError> {
            unreachable!()
        }
    }
    let cluster = "prod-a".parse().unwrap();
    let begun = tokio::time::Instant::now();
    let error = backups(&Slow, &cluster, &Trust::default(), Timestamp::now())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("did not end within 1800 s"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(1830));
}
