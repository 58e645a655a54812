//! Rendering with kustomize, as `kubectl apply -k` does.

use std::{env, ffi::OsString, fs, path::Path, process::Command, sync::LazyLock};

use serde_json::Value;
use tempfile::TempDir;

use crate::deploy;

/// Documents, or why there are none.
type Rendered = Result<Vec<Value>, String>;

/// What the base and every overlay render to, by name; rendered once for all tests.
pub(crate) fn deployments() -> impl Iterator<Item = (&'static str, &'static [Value])> {
    static RENDERED: LazyLock<Vec<(String, Rendered)>> = LazyLock::new(|| {
        let kubernetes = deploy().join("kubernetes");
        let mut all = vec![("base".to_owned(), try_render(&kubernetes.join("base")))];
        for overlay in fs::read_dir(kubernetes.join("overlays")).unwrap() {
            let overlay = overlay.unwrap();
            all.push((overlay.file_name().to_str().unwrap().to_owned(), try_render(&overlay.path())));
        }
        all
    });
    RENDERED.iter().map(|(name, documents)| {
        (name.as_str(), documents.as_deref().unwrap_or_else(|error| panic!("{error}")))
    })
}

fn try_render(directory: &Path) -> Rendered {
    let kubectl = env::var_os("KEEPALIVE_KUBECTL").unwrap_or_else(|| OsString::from("kubectl"));
    let output = Command::new(&kubectl).arg("kustomize").arg(directory).output().map_err(|error| {
        format!("cannot run {}: {error}; `cargo xtask setup` installs it", kubectl.display())
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !said.is_empty() {
        return Err(format!("{}: {said}", directory.display()));
    }
    serde_saphyr::from_slice_multiple(&output.stdout).map_err(|error| error.to_string())
}

/// A directory that a user has beside a clone of this repository, with these files in it.
pub(crate) struct Beside(TempDir);

impl Beside {
    /// Makes it. The clone is called as in `deploy/README.md`.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().unwrap();
        let repository = deploy().parent().unwrap().to_owned();
        std::os::unix::fs::symlink(repository, directory.path().join("keepalive-daemon")).unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(directory)
    }

    pub(crate) fn render(&self, directory: &str) -> Vec<Value> {
        try_render(&self.0.path().join(directory)).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The base with these components, in this order.
pub(crate) fn base_with(components: &[&str]) -> Vec<Value> {
    let kubernetes = "../keepalive-daemon/deploy/kubernetes";
    let mut text = format!("resources: [{kubernetes}/base]\ncomponents:\n");
    for component in components {
        text += &format!("  - {kubernetes}/components/{component}\n");
    }
    Beside::with(&[("cluster/kustomization.yaml", &text)]).render("cluster")
}
