//! Why a cgroup could not be attached to.

use std::io;

use nix::errno::Errno;

use super::obstacles::Obstacle;

/// Why the program could not be attached to a cgroup, or what belongs to it not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttachError {
    /// The cgroup vanished meanwhile.
    #[error("the cgroup is gone")]
    Gone,
    /// The kernel said no.
    #[error("{0}")]
    Refused(Refusal),
}

/// Why the kernel said no, or would have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Refusal {
    pub(crate) why: Why,
    /// For people.
    pub(crate) text: String,
}

/// The kinds of reasons: few, so that they can be counted one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// Another tool's program is in the way.
    OtherProgram,
    /// The cgroup has as many programs as it can have.
    TooManyPrograms,
    OutOfMemory,
    NotPermitted,
    Other,
}

impl Why {
    pub(crate) const ALL: [Self; 5] =
        [Self::OtherProgram, Self::TooManyPrograms, Self::OutOfMemory, Self::NotPermitted, Self::Other];

    /// For programs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OtherProgram => "other_program",
            Self::TooManyPrograms => "too_many_programs",
            Self::OutOfMemory => "out_of_memory",
            Self::NotPermitted => "not_permitted",
            Self::Other => "other",
        }
    }

    fn of(errno: Errno) -> Self {
        match errno {
            Errno::ENOMEM => Self::OutOfMemory,
            Errno::EPERM | Errno::EACCES => Self::NotPermitted,
            _ => Self::Other,
        }
    }
}

impl AttachError {
    pub(super) fn new(why: Why, text: impl Into<String>) -> Self {
        Self::Refused(Refusal { why, text: text.into() })
    }

    /// One whose cause says of which kind it is, if the kernel does.
    pub(crate) fn refused(error: &anyhow::Error) -> Self {
        let errno = error.chain().find_map(|cause| {
            let io = cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error).map(Errno::from_raw);
            io.or_else(|| cause.downcast_ref::<Errno>().copied())
        });
        Self::new(errno.map_or(Why::Other, Why::of), format!("{error:#}"))
    }
}

impl From<anyhow::Error> for AttachError {
    fn from(error: anyhow::Error) -> Self {
        Self::refused(&error)
    }
}

impl From<Obstacle> for AttachError {
    fn from(obstacle: Obstacle) -> Self {
        Self::new(Why::OtherProgram, obstacle.to_string())
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    fn why(error: anyhow::Error) -> Option<Why> {
        match AttachError::from(error) {
            AttachError::Refused(refusal) => Some(refusal.why),
            AttachError::Gone => None,
        }
    }

    #[test]
    fn the_errno_below_the_words_says_of_which_kind_a_refusal_is() {
        let of = |errno| {
            let error = Err::<(), _>(io::Error::from_raw_os_error(errno)).context("cannot pin").context("no");
            error.err().and_then(why)
        };

        assert_eq!(of(libc::ENOMEM), Some(Why::OutOfMemory));
        assert_eq!(of(libc::EPERM), Some(Why::NotPermitted));
        assert_eq!(of(libc::EROFS), Some(Why::Other));
        assert_eq!(why(anyhow::anyhow!("words alone")), Some(Why::Other));
        assert_eq!(why(Errno::EACCES.into()), Some(Why::NotPermitted));
    }
}
