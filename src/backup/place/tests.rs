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

/// A directory from which somebody else deletes a backup as soon as it has been listed.
struct Pruned(StorePlace);

#[async_trait]
impl Place for Pruned {
    async fn put(&self, file: &Path, name: &str, progress: Progress<'_>) -> Result<(), PlaceError> {
        self.0.put(file, name, progress).await
    }

    async fn list(&self) -> Result<Vec<Stored>, PlaceError> {
        let listed = self.0.list().await?;
        for file in listed.iter().filter(|file| file.name.starts_with("old")) {
            self.0.delete(&file.name).await?;
        }
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
    let place = Pruned(StorePlace::directory(&dir.path().join("far")).unwrap());
    place.put(&file, "old.qbackup", &quiet).await.unwrap();
    let cluster = "prod-a".parse().unwrap();
    assert!(
        backups(&place, &cluster, &Trust::default(), Timestamp::now())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(place.list().await.unwrap().is_empty());
}
