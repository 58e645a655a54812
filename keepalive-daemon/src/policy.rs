//! The policy language: YAML documents in, validated [`Policy`] values out, and the question which of them
//! governs a cgroup or a pod, and what comes of that for a pod that asks for something else.
//!
//! ```text
//! text ── document ──► nodes with positions ── validate ──► Policy ──► PolicySet
//! PolicySet ── select(path, pod) ──► Policy ── govern(pod) ──► values
//! ```
//!
//! All of it is pure; [`directory`] is the one part that touches the file system. Whoever writes a policy
//! learns of every mistake at once, each with its place, its field and its cure ([`Diagnostic`]); a mistake
//! anywhere yields no [`PolicySet`], so that a caller keeps the last good one.
//!
//! A policy selects pods by namespace and labels, or cgroups by globs on their path below the cgroup2 root.
//! Selecting a cgroup covers all its descendants, because the kernel runs the programs of every ancestor;
//! which policy wins where selected cgroups nest is decided by the caller, who knows the tree.

mod destinations;
mod diagnostic;
pub mod directory;
mod document;
mod duration;
mod explain;
mod fields;
mod glob;
mod id;
mod kernel_options;
mod namespaces;
mod overrides;
mod pod;
mod scope;
mod selector;
mod set;
mod timers;
mod validate;

use std::fmt;

use keepalive_ebpf::{Direction, Mode, Options, Timers};
use serde::Serialize;

pub(crate) use destinations::RuleSets;
pub use destinations::{Cidr, Compiled, Destinations, Inherited, OwnValues, Ports, Rule};
pub use diagnostic::{Diagnostic, Fault};
pub use duration::parse_duration;
pub use explain::{Considered, Verdict};
pub use glob::CgroupGlob;
pub use id::{Kind, PolicyId};
pub use kernel_options::{Congestion, KernelOptions, KernelVersion};
pub use namespaces::{NamespaceGlob, NamespaceGlobs};
pub use overrides::{ANNOTATION_PREFIX, Governed, Overrides, Refused, Within};
pub use pod::PodFacts;
pub use scope::{NamespaceScope, PodScope, Scope};
pub use selector::LabelSelector;
#[cfg(any(test, fuzzing))]
pub(crate) use selector::Operator;
pub use set::{PolicySet, Tie, Unmatched};
pub use timers::{
    DEFAULT_IDLE, DEFAULT_INTERVAL, DEFAULT_PROBES, Limits, OutOfRange, TimerField, TimerSpec, UserTimeout,
};

/// The one `apiVersion` that is understood.
pub const API_VERSION: &str = "keepalive.dev/v1alpha1";

/// The modes by the names policies use, from the mildest on.
pub const MODES: [(&str, Mode); 4] = [
    ("Monitor", Mode::Monitor),
    ("FillMissing", Mode::FillMissing),
    ("Tighten", Mode::Tighten),
    ("Enforce", Mode::Enforce),
];

/// The mode of a policy that names none: arms what nobody armed and never weakens what an application chose.
pub const DEFAULT_MODE: Mode = Mode::Tighten;

/// The directions by the names policies use.
pub const DIRECTIONS: [(&str, Direction); 3] =
    [("Outbound", Direction::Outbound), ("Inbound", Direction::Inbound), ("Both", Direction::Both)];

/// The direction of a policy that names none: either end alone keeps a middlebox from forgetting the flow,
/// and each end learns of the other's death only by its own probes.
pub const DEFAULT_DIRECTION: Direction = Direction::Both;

/// One validated policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Its kind and name; unique within a [`PolicySet`].
    pub id: PolicyId,
    /// Where `metadata.name` is written.
    pub source: Source,
    /// Higher wins where several policies select the same cgroup.
    pub priority: i32,
    /// What may be done to a socket; never [`Mode::Nothing`].
    pub mode: Mode,
    /// Which ends of a connection it is for.
    pub direction: Direction,
    /// The values as written, which a pod may ask to have changed.
    pub spec: TimerSpec,
    /// The values to set, within the kernel's limits and those of [`Limits`].
    pub timers: Timers,
    /// The remote ends it is for, and what it sets there; all of them if absent.
    pub destinations: Option<Destinations>,
    /// The other options it sets.
    pub options: Options,
    /// Whether connections that are open already get what new ones get.
    pub apply_to_existing: bool,
    /// What it is for.
    pub scope: Scope,
    /// What a pod may change of it.
    pub overrides: Overrides,
}

impl Policy {
    /// Whether it is for pods; it is for cgroups otherwise.
    #[must_use]
    pub const fn is_for_pods(&self) -> bool {
        matches!(self.scope, Scope::Pods(_))
    }

    /// The values that its rules for destinations inherit, where no pod asks for others.
    #[must_use]
    pub const fn inherited(&self) -> Inherited {
        Inherited { timers: self.timers, user_timeout: self.spec.user_timeout }
    }

    /// What it comes to in the kernel, where nothing above is governed, with these values and the rules that inherit
    /// them.
    #[must_use]
    pub fn in_kernel(&self, timers: Timers, rules: Option<&Compiled>) -> keepalive_ebpf::Policy {
        keepalive_ebpf::Policy::new(self.mode, self.direction, timers)
            .to_destinations(rules.map_or(0, |rules| rules.id))
            .with_options(self.options)
    }

    /// How specific it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match (&self.scope, &self.id.namespace) {
            (Scope::Cgroups(_), _) => Kind::ClusterCgroups,
            (Scope::Pods(_), Some(_)) => Kind::Namespaced,
            (Scope::Pods(_), None) => Kind::ClusterPods,
        }
    }
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Source {
    /// The file, as its reader named it.
    pub file: String,
    /// The line, from 1; 0 when the whole file is meant.
    pub line: u64,
    /// The column in characters, from 1; 0 when the whole file is meant.
    pub column: u64,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => write!(f, "{}", self.file),
            (line, column) => write!(f, "{}:{line}:{column}", self.file),
        }
    }
}

/// Reads the policies of one file. `file` is its name in messages; documents without content are skipped, but
/// a file without even a comment is a mistake. Whether names are unique is for [`PolicySet::new`] to say,
/// which sees all files.
///
/// # Errors
///
/// All mistakes of all documents in the order of the text (the first hundred of them), or the one that keeps
/// the text from being read as YAML.
pub fn parse(file: &str, text: &str, limits: &Limits) -> Result<Vec<Policy>, Vec<Diagnostic>> {
    if text.trim_start_matches('\u{feff}').trim().is_empty() {
        return Err(vec![Diagnostic::of_file(file, empty_file())]);
    }
    let documents = document::read(file, text).map_err(|diagnostic| vec![diagnostic])?;
    validate::policies(file, &documents, limits)
}

/// A file that somebody is about to write, or wrote half of, must not count as one without policies.
fn empty_file() -> Fault {
    Fault::new("the file is empty", "remove it, or say that it is meant so with a comment (`# no policies`)")
}

#[cfg(test)]
mod tests;
