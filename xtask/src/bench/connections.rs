//! What a connection costs: the time in the program, and the whole of short connections, against a program that does
//! nothing, one that does the least, libraries to preload, and an application that does it by itself.

mod program_time;
mod variant;
mod whole;

use std::{path::PathBuf, time::Instant};

use anyhow::{Context as _, Result};
use aya::{Ebpf, programs::loaded_programs};
use aya_obj::generated::bpf_prog_type::BPF_PROG_TYPE_SOCK_OPS;

use self::variant::{Place, Variant};
pub(super) use self::whole::{NOTHING, WHOLE_COST};
use super::{
    Bench,
    findings::Findings,
    kernel::Program,
    ours::{Ours, Policy},
    worker::{self, ARMED, End, UNTOUCHED, Way, Worker},
};
use crate::lab::Cgroup;

/// The least that anybody could do, which it is compared with.
const FLOOR: &str = "C, four constants";
const EMPTY: &str = "empty program";

const MODES: [&str; 4] = ["Tighten", "FillMissing", "Enforce", "Monitor"];

/// How many rules for destinations policies have.
const RULES: [usize; 3] = [0, 1, 64];

/// Of the time, what each of the three has.
const SHARES: [f64; 3] = [0.22, 0.55, 0.23];

/// All that is compared stands on.
struct Stage {
    ours: Ours,
    policies: Vec<Policy>,
    empty: Program,
    floor: Program,
    /// For whatever has no policy.
    plain: Cgroup,
    /// What makes connections.
    peer: PathBuf,
}

impl Stage {
    fn prepare(bench: &Bench) -> Result<Self> {
        let peer = worker::compile(&bench.tools)?;
        let object = bench.tools.object("floor", include_str!("connections/floor.bpf.c"))?;
        let mut object =
            Ebpf::load_file(&object).with_context(|| format!("cannot load {}", object.display()))?;
        let (empty, floor) = (Program::load(&mut object, "empty")?, Program::load(&mut object, "constants")?);
        let policies: Vec<_> =
            MODES.iter().flat_map(|mode| RULES.map(|rules| Policy { mode, rules })).collect();
        let ours = Ours::prepare(bench, &policies)?;
        // No state of closed connections is kept: there would soon be no port left, and each round would find more of it
        // than the one before.
        ours.site.netns.sysctl("net.ipv4.tcp_max_tw_buckets", "0")?;
        let plain = ours.site.cgroup("plain")?;
        Ok(Self { ours, policies, empty, floor, plain, peer })
    }

    /// What makes connections in a cgroup over the loopback, and does nothing else.
    fn worker(&self, cgroup: &Cgroup) -> Result<Worker> {
        Worker::start(&self.way(cgroup))
    }

    fn way<'a>(&'a self, cgroup: &'a Cgroup) -> Way<'a> {
        Way {
            program: &self.peer,
            cgroup,
            netns: &self.ours.site.netns,
            server: None,
            address: "127.0.0.1",
            calls: "none",
            environment: &[],
        }
    }

    /// What is attached where nothing need be known of a policy.
    fn foreign<'a>(&'a self, name: &str, program: &'a Program, expected: End) -> Result<Variant<'a>> {
        Ok(Variant {
            name: name.to_owned(),
            cgroup: &self.plain,
            programs: vec![(program, Place::SockOps)],
            expected,
            worker: self.worker(&self.plain)?,
        })
    }

    /// Ours, with what of it concerns the cgroup.
    fn ours(&self, policy: Policy) -> Result<Variant<'_>> {
        let at = self.policies.iter().position(|other| *other == policy);
        let cgroup =
            at.and_then(|at| self.ours.cgroups.get(at)).context("no such policy was put in force")?;
        let mut programs = vec![(&self.ours.keepalive, Place::SockOps)];
        if policy.mode == "Enforce" {
            programs.extend(self.ours.guard.iter().map(|guard| (guard, Place::Setsockopt)));
        }
        Ok(Variant {
            name: policy.name(),
            cgroup,
            programs,
            expected: if policy.mode == "Monitor" { UNTOUCHED } else { ARMED },
            worker: self.worker(cgroup)?,
        })
    }
}

/// Measures the part.
pub(super) fn measure(bench: &Bench, deadline: Instant) -> Result<Findings> {
    let others = other_programs()?;
    let stage = Stage::prepare(bench)?;
    let left = deadline.saturating_duration_since(Instant::now());
    let mut end = Instant::now();
    let [program_time, loopback, veth] = SHARES.map(|share| {
        end += left.mul_f64(share);
        end
    });
    let mut findings = program_time::measure(bench, &stage, program_time)?;
    findings.add(whole::over_loopback(bench, &stage, loopback)?);
    findings.add(whole::over_veth(bench, &stage, veth)?);
    if others > 0
        && let Some(table) = findings.tables.iter_mut().find(|table| table.title == WHOLE_COST)
    {
        table.note(format!(
            "{others} other sock_ops programs were loaded on this machine: every connection pays for any that is \
             attached anywhere, so that `{NOTHING}` is not free of it here"
        ));
    }
    Ok(findings)
}

/// How many `sock_ops` programs others have loaded.
fn other_programs() -> Result<usize> {
    let is_one = |kind: u32| kind == BPF_PROG_TYPE_SOCK_OPS as u32;
    // One that goes away meanwhile is none.
    let programs = loaded_programs().filter_map(Result::ok);
    Ok(programs.filter(|program| is_one(program.program_type() as u32)).count())
}
