//! A compressed tar file that only its owner may read.

use std::{
    fs::{self, File, OpenOptions},
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result};
use flate2::{Compression, write::GzEncoder};

/// The archive in the making; removed when it is dropped unfinished.
pub(super) struct Archive {
    path: PathBuf,
    /// What all files in it lie in, so that unpacking it strews nothing about.
    directory: String,
    packer: Option<tar::Builder<GzEncoder<File>>>,
}

impl Archive {
    /// Begins one.
    ///
    /// # Errors
    /// If the file exists, or cannot be made.
    pub(super) fn create(path: &Path, directory: &str) -> Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|error| {
            let cure = match error.kind() {
                ErrorKind::AlreadyExists => "it exists already; pass another --output",
                _ => "pass another --output",
            };
            anyhow::Error::new(error).context(format!("cannot create {}: {cure}", path.display()))
        })?;
        let packer = tar::Builder::new(GzEncoder::new(file, Compression::default()));
        Ok(Self { path: path.to_owned(), directory: directory.to_owned(), packer: Some(packer) })
    }

    pub(super) fn add(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let Some(packer) = &mut self.packer else { return Ok(()) };
        let mut header = tar::Header::new_gnu();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        header.set_mtime(now.as_secs());
        header.set_mode(0o600);
        header.set_size(content.len() as u64);
        let name = format!("{}/{name}", self.directory);
        packer
            .append_data(&mut header, name, content)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Writes what is left to be written.
    pub(super) fn finish(mut self) -> Result<()> {
        let Some(packer) = self.packer.take() else { return Ok(()) };
        let finished = packer.into_inner().and_then(GzEncoder::finish).and_then(|file| file.sync_all());
        finished
            .with_context(|| format!("cannot write {}", self.path.display()))
            .inspect_err(|_| self.discard())
    }

    fn discard(&self) {
        // What cannot be removed was not wanted whole either.
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        if self.packer.is_some() {
            self.discard();
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn what_is_added_is_in_it_in_one_directory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.tar.gz");
        let mut archive = Archive::create(&path, "top").unwrap();
        archive.add("deep/a.txt", b"content").unwrap();
        archive.finish().unwrap();

        let mut unpacked = tar::Archive::new(GzDecoder::new(File::open(&path).unwrap()));
        let mut entries = unpacked.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        assert_eq!((entry.path().unwrap().to_str().unwrap(), &*content), ("top/deep/a.txt", "content"));
        assert_eq!(entry.header().mode().unwrap(), 0o600);
        assert!(entries.next().is_none());
    }

    #[test]
    fn one_that_exists_is_left_alone_and_one_that_is_not_finished_is_not_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.tar.gz");
        fs::write(&path, "another's").unwrap();

        let refused = format!("{:#}", Archive::create(&path, "top").err().unwrap());
        assert!(refused.contains("pass another --output"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "another's");

        let unfinished = directory.path().join("b.tar.gz");
        drop(Archive::create(&unfinished, "top").unwrap());
        assert!(!unfinished.exists());
    }
}
