//! Files that verbs write for whoever asks.

use std::{fs::File, path::Path};

use anyhow::{Context as _, Result};

/// Makes sure that a file can be written, before what it is to hold takes minutes to find out.
///
/// # Errors
///
/// If it cannot; the error names it.
pub(crate) fn ensure_writable(path: &Path) -> Result<()> {
    let opened = File::options().append(true).create(true).open(path);
    opened.map(drop).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_a_folder_that_is_not_there_is_named_and_what_is_in_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (there, nowhere) = (folder.path().join("plot.svg"), folder.path().join("no/plot.svg"));
        std::fs::write(&there, "before").unwrap();

        let error = ensure_writable(&nowhere).unwrap_err();

        assert_eq!(error.to_string(), format!("cannot write {}", nowhere.display()));
        ensure_writable(&there).unwrap();
        assert_eq!(std::fs::read_to_string(&there).unwrap(), "before");
    }
}
