//! Other programs on the way to the root: where attaching would fail, or silence them.
//!
//! A cgroup's first attachment decides how it may be shared. The kernel's rules, the same from 5.10 to 7.2
//! (`kernel/bpf/cgroup.c`: `hierarchical_allow_attach`, `compute_effective_progs`):
//!
//! - without flags: no other program on that cgroup or below it;
//! - `BPF_F_ALLOW_OVERRIDE`: a program below takes its place for that subtree; on the cgroup itself a link is
//!   refused;
//! - `BPF_F_ALLOW_MULTI` (every link): all run.

use std::{
    collections::BTreeMap,
    fs::File,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use anyhow::{Context as _, Result};
use nix::{
    fcntl::{OFlag, openat},
    sys::{
        stat::Mode,
        statfs::{CGROUP2_SUPER_MAGIC, fstatfs},
    },
};

use super::sys::{self, Attached, Hook};

const ALLOW_OVERRIDE: u32 = 1;
const ALLOW_MULTI: u32 = 2;

/// Why a cgroup cannot be attached to without harm to another tool's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    hook: Hook,
    /// 0 for the cgroup itself, 1 for its parent, and so on.
    levels_up: usize,
    programs: Vec<u32>,
    exclusive: bool,
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = match self.levels_up {
            0 => "this cgroup".to_owned(),
            1 => "its parent".to_owned(),
            n => format!("its ancestor {n} levels up"),
        };
        let hook = self.hook;
        let programs: Vec<String> = self.programs.iter().map(ToString::to_string).collect();
        let programs = programs.join(", ");
        if self.exclusive || self.levels_up == 0 {
            write!(f, "the {hook} program {programs} on {place} was attached to be alone there")?;
        } else {
            write!(
                f,
                "the {hook} program {programs} on {place} was attached with BPF_F_ALLOW_OVERRIDE: \
                 attaching here would silence it for this cgroup"
            )?;
        }
        f.write_str(
            "; attach that one with a link or BPF_F_ALLOW_MULTI instead (`bpftool cgroup tree` shows it)",
        )
    }
}

/// Looks for an obstacle at a hook from a cgroup up to the root, or as far up as this cgroup namespace shows.
pub(crate) fn find(cgroup: &File, hook: Hook) -> Result<Option<Obstacle>> {
    if !is_cgroup2(cgroup.as_fd()) {
        return Ok(None);
    }
    let mut levels = vec![ask(cgroup.as_fd(), hook)?];
    levels.extend(above(cgroup.as_fd(), hook)?);
    Ok(judge(&levels, hook))
}

/// What is attached to `sock_ops` above cgroups that are attached to in one go: most have it in common with others.
#[derive(Debug, Default)]
pub(crate) struct Above(BTreeMap<String, Vec<Attached>>);

impl Above {
    /// As [`find`], for the cgroup at `path`; what was attached above it meanwhile may not be found.
    pub(crate) fn find(&mut self, path: &str, cgroup: &File) -> Result<Option<Obstacle>> {
        let hook = Hook::SockOps;
        let mut levels = vec![ask(cgroup.as_fd(), hook)?];
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        match self.0.get(parent).filter(|_| !path.is_empty()) {
            Some(known) => levels.extend_from_slice(known),
            None => {
                let found = above(cgroup.as_fd(), hook)?;
                levels.extend_from_slice(&found);
                if !path.is_empty() {
                    self.0.insert(parent.to_owned(), found);
                }
            }
        }
        Ok(judge(&levels, hook))
    }
}

/// What is attached to the parent of a cgroup, to the parent of that, and so on.
fn above(cgroup: BorrowedFd<'_>, hook: Hook) -> Result<Vec<Attached>> {
    let mut levels = Vec::new();
    let mut directory = parent(cgroup)?;
    while is_cgroup2(directory.as_fd()) {
        levels.push(ask(directory.as_fd(), hook)?);
        directory = parent(directory.as_fd())?;
    }
    Ok(levels)
}

fn ask(cgroup: BorrowedFd<'_>, hook: Hook) -> Result<Attached> {
    sys::attached(cgroup, hook)
        .with_context(|| format!("cannot ask which {hook} programs others attached (needs CAP_NET_ADMIN)"))
}

fn parent(directory: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    openat(directory, "..", flags, Mode::empty()).context("cannot open the parent cgroup")
}

fn is_cgroup2(directory: BorrowedFd<'_>) -> bool {
    fstatfs(directory).is_ok_and(|stat| stat.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

/// `levels` is what is attached to the cgroup, its parent, and so on.
fn judge(levels: &[Attached], hook: Hook) -> Option<Obstacle> {
    let mut shared = false;
    for (levels_up, Attached { program_ids, flags }) in levels.iter().enumerate() {
        if flags & ALLOW_MULTI != 0 {
            if levels_up > 0 {
                return None;
            }
            // Sharing began before what is above came; the kernel asks that one about each further program.
            shared = true;
        } else if !program_ids.is_empty() {
            let exclusive = flags & ALLOW_OVERRIDE == 0;
            // The programs that share the cgroup have taken its place here already.
            let silent = shared && !exclusive;
            return (!silent).then(|| Obstacle { hook, levels_up, programs: program_ids.clone(), exclusive });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(levels: &[Attached]) -> Option<Obstacle> {
        super::judge(levels, Hook::SockOps)
    }

    fn level(programs: &[u32], flags: u32) -> Attached {
        Attached { program_ids: programs.to_vec(), flags }
    }

    const FREE: u32 = 0;

    #[test]
    fn nothing_attached_is_no_obstacle() {
        assert_eq!(judge(&[level(&[], FREE), level(&[], FREE)]), None);
    }

    #[test]
    fn a_program_attached_to_be_alone_is_one_wherever_it_is() {
        for up in 0..3 {
            let mut levels = vec![level(&[], FREE); up];
            levels.push(level(&[7], FREE));
            let found = judge(&levels).map(|obstacle| (obstacle.levels_up, obstacle.exclusive));
            assert_eq!(found, Some((up, true)));
        }
    }

    #[test]
    fn an_overridable_program_is_one_because_attaching_would_silence_it() {
        let above = judge(&[level(&[], FREE), level(&[7], ALLOW_OVERRIDE)]);
        assert!(above.is_some_and(|o| o.to_string().contains("would silence it")));
        let here = judge(&[level(&[7], ALLOW_OVERRIDE)]);
        assert!(here.is_some_and(|o| o.to_string().contains("7 on this cgroup")));
    }

    #[test]
    fn shared_attachments_are_none_and_hide_what_is_above_them() {
        assert_eq!(judge(&[level(&[1, 2], ALLOW_MULTI)]), None);
        assert_eq!(judge(&[level(&[1], ALLOW_MULTI), level(&[7], ALLOW_OVERRIDE)]), None);
        assert_eq!(judge(&[level(&[], FREE), level(&[1], ALLOW_MULTI), level(&[7], FREE)]), None);
    }

    #[test]
    fn one_that_came_above_a_shared_cgroup_to_be_alone_keeps_further_programs_out() {
        let obstacle = judge(&[level(&[1], ALLOW_MULTI), level(&[], FREE), level(&[7], FREE)]);

        assert_eq!(
            obstacle,
            Some(Obstacle { hook: Hook::SockOps, levels_up: 2, programs: vec![7], exclusive: true })
        );
    }
}
