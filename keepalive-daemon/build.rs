//! Compiles the eBPF program, with a compiler and a linker of its own, into `OUT_DIR/keepalive`, and makes the
//! client of the container runtime interface from its description.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use aya_build::{Package, Toolchain};
use cargo_metadata::MetadataCommand;

#[path = "../xtask/src/setup/linker_path.rs"]
mod linker_path;

/// The package of the eBPF program and, beside this one, its folder.
const PACKAGE: &str = "keepalive-ebpf";

/// The name of the object in `OUT_DIR`: that of the package's binary.
const OBJECT: &str = "keepalive";

/// The description of the container runtime interface, as Kubernetes publishes it.
const CRI: &str = "proto/cri-v1.proto";

fn main() {
    if let Err(error) = cri().and_then(|()| build()) {
        // Not a failing exit: cargo would print everything that the script has said so far.
        println!("cargo::error={}", format!("{error:#}").replace('\n', " "));
    }
}

fn build() -> Result<()> {
    for name in ["AYA_BUILD_SKIP", "HOME", "XDG_DATA_HOME", "RUSTUP_HOME"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if env::var("AYA_BUILD_SKIP").is_ok_and(|skip| skip == "1" || skip.eq_ignore_ascii_case("true")) {
        return write_stub();
    }

    let manifest_dir =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("cargo sets no CARGO_MANIFEST_DIR")?);
    let workspace = manifest_dir.parent().context("this package lies in no workspace")?;
    println!("cargo::rerun-if-changed={}", workspace.join("Cargo.toml").display());
    let pins = Pins::read(workspace)?;

    let linker = linker(&pins.bpf_linker)?;
    println!("cargo::rerun-if-changed={}", linker.display());
    check_toolchain(&pins.toolchain)?;

    set_nested_environment(&linker);
    let features: &[&str] = if env::var_os("CARGO_FEATURE_NEXT_ABI").is_some() { &["next-abi"] } else { &[] };
    let root_dir = workspace.join(PACKAGE);
    let root_dir = root_dir.to_str().context("the path of the workspace is not UTF-8")?;
    let package = Package { name: PACKAGE, root_dir, features, ..Package::default() };
    aya_build::build_ebpf([package], Toolchain::Custom(&pins.toolchain))
        .context("the eBPF program was not built; the compiler's messages are above")
}

/// Without protoc, which few machines have.
fn cri() -> Result<()> {
    println!("cargo::rerun-if-changed={CRI}");
    let description = protox::compile([CRI], ["proto"]).with_context(|| format!("cannot read {CRI}"))?;
    let mut config = tonic_prost_build::Config::new();
    // Thousands of lines that are none of this project's.
    config.disable_comments(["."]);
    tonic_prost_build::configure()
        .build_server(false)
        .disable_comments(["."])
        .compile_fds_with_config(description, config)
        .with_context(|| format!("cannot make a client of {CRI}"))
}

/// What the root manifest says under `[workspace.metadata.setup]`.
struct Pins {
    toolchain: String,
    bpf_linker: String,
}

impl Pins {
    fn read(workspace: &Path) -> Result<Self> {
        let metadata = MetadataCommand::new()
            .manifest_path(workspace.join("Cargo.toml"))
            .no_deps()
            .exec()
            .context("cannot read the root manifest")?;
        let pin = |name: &str| {
            let value = metadata.workspace_metadata["setup"][name].as_str();
            value.map(str::to_owned).with_context(|| {
                format!("the root Cargo.toml has no text `{name}` under [workspace.metadata.setup]")
            })
        };
        Ok(Self { toolchain: pin("toolchain")?, bpf_linker: pin("bpf-linker")? })
    }
}

/// The linker that set-up has installed.
fn linker(version: &str) -> Result<PathBuf> {
    let data_dir =
        linker_path::data_dir().context("neither XDG_DATA_HOME nor HOME says where the eBPF linker is")?;
    let linker = linker_path::linker(&data_dir, version);
    ensure!(
        linker.is_file(),
        "the eBPF linker is missing ({} does not exist): run `cargo xtask setup`",
        linker.display()
    );
    Ok(linker)
}

fn check_toolchain(name: &str) -> Result<()> {
    let status = Command::new("rustup")
        .args(["which", "--toolchain", name, "rustc"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("cannot run `rustup`, which finds the eBPF compiler: install it from https://rustup.rs")?;
    if !status.success() {
        bail!("the eBPF compiler is missing (rustup knows no toolchain `{name}`): run `cargo xtask setup`");
    }
    Ok(())
}

/// Prepares this process' environment for the build of the eBPF program, which inherits it.
fn set_nested_environment(linker: &Path) {
    let variables = [
        // build-std is an unstable feature and the compiler may be a stable one. Set here and not for the
        // whole build, because there are build scripts that do other things when they see it.
        ("RUSTC_BOOTSTRAP", Path::new("1")),
        ("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker),
        ("CARGO_TARGET_BPFEB_UNKNOWN_NONE_LINKER", linker),
        // Compiled in parts that are kept, the program is another one: longer, and refused by the verifier.
        ("CARGO_INCREMENTAL", Path::new("0")),
        // Each line that is not quiet becomes a warning.
        ("CARGO_TERM_QUIET", Path::new("true")),
        // The object names the files that it is made of, for the kernel to show: as they are called in their packages, and
        // not where they lie, so that the same source is the same object everywhere.
        ("CARGO_PROFILE_RELEASE_TRIM_PATHS", Path::new("all")),
        ("CARGO_UNSTABLE_TRIM_PATHS", Path::new("true")),
    ];
    for (name, value) in variables {
        // SAFETY: this process has started no thread.
        unsafe { env::set_var(name, value) };
    }
}

/// For runs that only check: an empty object, so that what includes it compiles.
fn write_stub() -> Result<()> {
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets no OUT_DIR")?);
    let object = out_dir.join(OBJECT);
    fs::write(&object, []).with_context(|| format!("cannot write {}", object.display()))
}
