//! The eBPF compiler: a Rust toolchain with the sources of `core`, under one rustup name whichever way it
//! came.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{packages, pins::Pins};
use crate::{console, process};

/// Where Debian's packages put their compiler.
const DEBIAN_SYSROOT: &str = "/usr";

/// A compiler that can build `core` for BPF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Compiler {
    /// Its version, as `1.96.0`.
    pub(super) release: String,
    /// The major version of its LLVM; the linker's may not be older.
    pub(super) llvm: u32,
    /// Its folder.
    pub(super) sysroot: PathBuf,
}

impl Compiler {
    /// Whether its clippy is there.
    pub(super) fn has_clippy(&self) -> bool {
        self.sysroot.join("bin/cargo-clippy").is_file()
    }
}

/// The compiler, if it is there and fits.
///
/// The error says what is missing.
pub(super) fn find(pins: &Pins) -> Result<Compiler> {
    ensure!(process::find("rustup").is_some(), "there is no rustup: install it from https://rustup.rs");
    let compiler = inspect(&pins.toolchain)?;
    let is_ours = compiler.sysroot == Path::new(DEBIAN_SYSROOT)
        || compiler
            .sysroot
            .file_name()
            .is_some_and(|name| is_nightly(&name.to_string_lossy(), &pins.nightly));
    ensure!(
        is_ours,
        "rustup's `{}` is {}, which is not the pinned {}",
        pins.toolchain,
        compiler.sysroot.display(),
        pins.nightly
    );
    Ok(compiler)
}

/// Installs the compiler, by rustup or else by Debian's packages.
pub(super) fn install(pins: &Pins) -> Result<Compiler> {
    ensure!(process::find("rustup").is_some(), "there is no rustup: install it from https://rustup.rs");
    let by_rustup = install_nightly(pins);
    let Err(refusal) = by_rustup else {
        return find(pins).context("rustup installed a nightly that does not fit");
    };
    let said = first_error(&format!("{refusal:#}"));
    if !packages::can_install() {
        bail!(
            "rustup cannot fetch {nightly} with rust-src ({said}), and there is no apt-get for the other way: \
             make `rustup toolchain install {nightly} --profile minimal --component rust-src` work here",
            nightly = pins.nightly
        );
    }
    console::progress(format_args!("rustup cannot fetch the eBPF compiler ({said}): taking Debian's"));
    let missing = packages::missing(&pins.debian_compiler);
    if !missing.is_empty() {
        packages::install(&missing, "the eBPF compiler")?;
    }
    link(&pins.toolchain, Path::new(DEBIAN_SYSROOT))?;
    find(pins).with_context(|| {
        format!("Debian's compiler does not fit: {DEBIAN_SYSROOT}/bin/rustc must be that of rustc-web")
    })
}

/// Installs the compiler's clippy, from where the compiler came.
pub(super) fn install_clippy(pins: &Pins, compiler: &Compiler) -> Result<()> {
    if compiler.sysroot == Path::new(DEBIAN_SYSROOT) {
        return packages::install(&[&pins.debian_clippy], "clippy for the eBPF side");
    }
    let mut command = Command::new("rustup");
    command.args(["component", "add", "clippy", "--toolchain", &pins.nightly]).env("RUST_BACKTRACE", "0");
    process::run_with_progress("fetching clippy for the eBPF side", &mut command)
}

fn install_nightly(pins: &Pins) -> Result<()> {
    let mut command = Command::new("rustup");
    command.args(["toolchain", "install", &pins.nightly, "--profile", "minimal", "--component", "rust-src"]);
    // Its error would otherwise come with a list of its functions.
    command.args(["--no-self-update"]).env("RUST_BACKTRACE", "0");
    process::run_with_progress(&format!("fetching the eBPF compiler, {}", pins.nightly), &mut command)?;
    link(&pins.toolchain, &inspect(&pins.nightly)?.sysroot)
}

fn link(name: &str, sysroot: &Path) -> Result<()> {
    let mut command = Command::new("rustup");
    process::output(command.args(["toolchain", "link", name]).arg(sysroot))?;
    console::progress(format_args!("rustup's toolchain `{name}` is {}", sysroot.display()));
    Ok(())
}

/// Asks the compiler itself, and looks for what building `core` needs.
fn inspect(toolchain: &str) -> Result<Compiler> {
    let rustc = |argument: &[&str]| {
        let mut command = Command::new("rustup");
        // Without it rustup may go to the network for a toolchain that is not there.
        command.args(["run", toolchain, "rustc"]).args(argument).env("RUSTUP_AUTO_INSTALL", "0");
        process::output(command.env("RUST_BACKTRACE", "0"))
    };
    let version = rustc(&["-vV"])?;
    let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?.trim());
    let sources = sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs");
    ensure!(
        sources.is_file(),
        "`{toolchain}` lacks the sources of core: {} does not exist",
        sources.display()
    );
    // rustup takes another toolchain's cargo in its stead, which then does not fit the sources.
    let cargo = sysroot.join("bin/cargo");
    fs::metadata(&cargo).with_context(|| format!("`{toolchain}` lacks {}", cargo.display()))?;
    parse(&version, sysroot)
}

fn parse(version: &str, sysroot: PathBuf) -> Result<Compiler> {
    let field = |name: &str| {
        let line = version.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.with_context(|| format!("rustc's version has no line `{name}`"))
    };
    let release = field("release")?.to_owned();
    let minimum = minor(env!("CARGO_PKG_RUST_VERSION"));
    ensure!(
        minor(&release) >= minimum,
        "the rustc in {} is {release}, older than the {} that this workspace needs",
        sysroot.display(),
        env!("CARGO_PKG_RUST_VERSION")
    );
    let llvm = field("LLVM version")?;
    let major = llvm.split('.').next().unwrap_or(llvm);
    let llvm = major.parse().with_context(|| format!("rustc's LLVM has the version `{llvm}`"))?;
    Ok(Compiler { release, llvm, sysroot })
}

/// The 95 of `1.95.0`.
fn minor(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0)
}

/// Whether a folder of rustup's is that of `nightly`; the host's name follows the toolchain's.
fn is_nightly(folder: &str, nightly: &str) -> bool {
    folder.strip_prefix(nightly).is_some_and(|host| host.starts_with('-'))
}

/// The one line that tells why, of all that rustup printed.
fn first_error(text: &str) -> String {
    let error = text.lines().find_map(|line| line.trim().strip_prefix("error: "));
    error.or(text.lines().next()).unwrap_or_default().to_owned()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const VERSION: &str =
        "rustc 1.96.0 (ac68faa20 2026-05-25)\nbinary: rustc\nrelease: 1.96.0\nLLVM version: 22.1.8\n";

    #[test]
    fn the_compiler_tells_its_release_and_its_llvm() {
        let compiler = parse(VERSION, PathBuf::from("/usr")).unwrap();

        let expected = Compiler { release: "1.96.0".to_owned(), llvm: 22, sysroot: PathBuf::from("/usr") };
        assert_eq!(compiler, expected);
    }

    #[test]
    fn a_compiler_that_is_too_old_is_named_with_its_folder() {
        let error = parse(&VERSION.replace("1.96.0", "1.63.0"), PathBuf::from("/usr")).unwrap_err();

        assert!(error.to_string().starts_with("the rustc in /usr is 1.63.0, older than"), "{error}");
    }

    #[test]
    fn a_folder_belongs_to_its_nightly_only() {
        assert!(is_nightly("nightly-2026-11-01-x86_64-unknown-linux-gnu", "nightly-2026-11-01"));
        assert!(!is_nightly("nightly-2026-11-02-x86_64-unknown-linux-gnu", "nightly-2026-11-01"));
        assert!(!is_nightly("nightly-x86_64-unknown-linux-gnu", "nightly-2026-11-01"));
    }

    #[test]
    fn of_what_rustup_printed_the_error_remains() {
        let text = "`rustup` failed: exit status: 1: info: syncing\nerror: could not download\nCaused by:";

        assert_eq!(first_error(text), "could not download");
        assert_eq!(first_error("cannot start `rustup`"), "cannot start `rustup`");
    }
}
