//! How many make many.

/// As many, or a tenth where the machine is emulated (`cargo xtask vm`) and each takes ten times as long: for tests that
/// are about many of something, however many exactly.
pub(crate) fn scaled(count: usize) -> usize {
    if std::env::var_os(xtask::lab::EMULATED).is_some() { count / 10 } else { count }
}
