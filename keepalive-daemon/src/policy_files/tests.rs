#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs::{self, File},
    io::Write as _,
};

use nix::{
    sys::stat::{Mode, SFlag, mknod},
    unistd::truncate,
};
use tempfile::{TempDir, tempdir};

use super::*;

/// An empty policy file in a directory of its own, below one that is watched with it and where nothing else happens.
///
/// It was never open: a child that another test starts would have it open, too, for a moment.
fn file() -> (TempDir, PathBuf) {
    let above = tempdir().unwrap();
    let directory = above.path().join("policies");
    fs::create_dir(&directory).unwrap();
    let file = directory.join("p.yaml");
    mknod(&file, SFlag::S_IFREG, Mode::S_IRUSR | Mode::S_IWUSR, 0).unwrap();
    (above, file)
}

/// Follows the directory of a file through the one event of what is done to it.
async fn follow<T>(file: &Path, act: impl FnOnce() -> T) -> (PolicyFiles, T) {
    let mut files = PolicyFiles::open(file.parent().unwrap()).unwrap();
    let done = act();
    let event = next(&mut files.events).await;
    files.follow(event).unwrap();
    assert_eq!(files.written, BTreeSet::from(["p.yaml".into()]));
    (files, done)
}

#[tokio::test]
async fn a_file_that_is_truncated_by_its_path_is_written_though_nobody_closes_it() {
    let (_above, path) = file();
    let (mut files, ()) = follow(&path, || truncate(&path, 7).unwrap()).await;

    files.look_for_writers();

    assert_eq!(files.written, BTreeSet::new());
    assert_eq!(files.due(), files.pending.map(|pending| pending.last + QUIET), "it is read");
}

#[tokio::test]
async fn a_file_that_somebody_has_open_to_write_is_waited_for_and_looked_at_again() {
    let (_above, path) = file();
    let write = || {
        let mut file = File::options().write(true).open(&path).unwrap();
        file.write_all(b"half of it").unwrap();
        file
    };
    let (mut files, _writer) = follow(&path, write).await;

    for _ in 0..2 {
        files.look_for_writers();

        assert_eq!(files.written, BTreeSet::from(["p.yaml".into()]));
        let asked = files.pending.and_then(|pending| pending.asked);
        assert!(asked.is_some());
        assert_eq!(files.due(), asked.map(|asked| asked + PATIENCE));
    }
}

#[tokio::test]
async fn what_cannot_be_asked_for_its_writers_is_waited_for() {
    let (_above, path) = file();
    let (mut files, ()) = follow(&path, || truncate(&path, 7).unwrap()).await;
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();

    files.look_for_writers();

    assert_eq!(files.written, BTreeSet::from(["p.yaml".into()]));
}

#[tokio::test]
async fn a_directory_that_is_removed_and_one_that_is_made_in_its_place_are_changes() {
    let (_above, path) = file();
    let directory = path.parent().unwrap();
    let mut files = PolicyFiles::open(directory).unwrap();
    let changed =
        async |files: &mut PolicyFiles| timeout_at(Instant::now() + 10 * PATIENCE, files.changed()).await;

    fs::remove_dir_all(directory).unwrap();
    let removed = changed(&mut files).await.unwrap().unwrap();
    assert_eq!((removed, files.inside.is_some()), (Reread::Changed, false));
    fs::create_dir(directory).unwrap();
    let made = changed(&mut files).await.unwrap().unwrap();
    assert_eq!((made, files.inside.is_some()), (Reread::Changed, true));

    fs::write(&path, "").unwrap();
    assert_eq!(
        changed(&mut files).await.unwrap().unwrap(),
        Reread::Changed,
        "it is followed as the first was"
    );
}
