//! All policies together, and which of them governs a cgroup.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use globset::{GlobSet, GlobSetBuilder};
use serde::Serialize;

use super::diagnostic::{Diagnostic, Fault, printable, quote};
use super::{Policy, Source};

/// Most globs of all policies together: compiling so many takes a fraction of a second.
const MOST_GLOBS: usize = 10_000;

/// Validated policies with unique names. Immutable; a clone shares the storage.
#[derive(Clone)]
pub struct PolicySet(Arc<Inner>);

struct Inner {
    /// The one that wins comes first.
    policies: Vec<Policy>,
    /// All globs but those that are the root.
    matcher: GlobSet,
    /// Of each glob of the matcher, the index of its policy and its own index therein.
    owners: Vec<(usize, usize)>,
}

/// A glob that selects no cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unmatched {
    /// The name of its policy.
    pub policy: String,
    /// Where the policy is written.
    pub source: Source,
    /// The glob as written.
    pub glob: String,
}

impl PolicySet {
    /// No policies.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::new(Inner { policies: Vec::new(), matcher: GlobSet::empty(), owners: Vec::new() }))
    }

    /// Puts the policies of all files together.
    ///
    /// # Errors
    ///
    /// Every policy whose name another one has already, and globs that are too many to match.
    pub fn new(mut policies: Vec<Policy>) -> Result<Self, Vec<Diagnostic>> {
        let repeated = repeated_names(&policies);
        if !repeated.is_empty() {
            return Err(repeated);
        }
        policies.sort_by(|a, b| (Reverse(a.priority), &a.name).cmp(&(Reverse(b.priority), &b.name)));
        let mut builder = GlobSetBuilder::new();
        let mut owners = Vec::new();
        for (policy, p) in policies.iter().enumerate() {
            for (index, glob) in p.cgroups.iter().enumerate() {
                if let Some(glob) = glob.compiled() {
                    builder.add(glob.clone());
                    owners.push((policy, index));
                }
            }
        }
        let too_many = |message| {
            let file = policies.last().map_or("", |policy| &policy.source.file);
            vec![Diagnostic::of_file(file, Fault::new(message, "use fewer, or simpler, globs"))]
        };
        if owners.len() > MOST_GLOBS {
            return Err(too_many(format!("all policies together have more than {MOST_GLOBS} globs")));
        }
        let matcher = builder.build().map_err(|e| {
            too_many(format!(
                "the globs of all policies together are too many: {}",
                printable(&e.to_string())
            ))
        })?;
        Ok(Self(Arc::new(Inner { policies, matcher, owners })))
    }

    /// How many policies there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.policies.len()
    }

    /// Whether there is no policy.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.policies.is_empty()
    }

    /// The policies; of any two, the one that wins comes first.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.0.policies.iter()
    }

    /// The policy that governs the cgroup at `path` by the cgroup's own path: the one of the highest
    /// priority, and of these the one whose name sorts first. `path` starts below the cgroup2 root, without a
    /// leading slash; empty is the root. That a policy of an ancestor covers the cgroup too is not
    /// considered.
    #[must_use]
    pub fn select(&self, path: &str) -> Option<&Policy> {
        let Inner { policies, matcher, owners } = &*self.0;
        if path.is_empty() {
            return policies.iter().find(|policy| policy.cgroups.iter().any(|g| g.compiled().is_none()));
        }
        let winner = matcher.matches(path).into_iter().filter_map(|glob| owners.get(glob)).min()?;
        policies.get(winner.0)
    }

    /// The globs that match none of `paths`, in the order of [`Self::iter`]: worth a warning, because a glob
    /// with a slip in it does nothing. The root always exists and counts as matched.
    #[must_use]
    pub fn unmatched<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> Vec<Unmatched> {
        let Inner { policies, matcher, owners } = &*self.0;
        let mut matched = vec![false; owners.len()];
        let mut globs = Vec::new();
        for path in paths.into_iter().filter(|path| !path.is_empty()) {
            matcher.matches_into(path, &mut globs);
            for &glob in &globs {
                matched[glob] = true;
            }
        }
        let unmatched = owners.iter().zip(matched).filter(|(_, matched)| !matched);
        unmatched
            .map(|(&(policy, glob), _)| {
                let Policy { name, source, cgroups, .. } = &policies[policy];
                Unmatched {
                    policy: name.clone(),
                    source: source.clone(),
                    glob: cgroups[glob].as_str().to_owned(),
                }
            })
            .collect()
    }
}

impl Default for PolicySet {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for PolicySet {
    fn eq(&self, other: &Self) -> bool {
        self.0.policies == other.0.policies
    }
}

fn repeated_names(policies: &[Policy]) -> Vec<Diagnostic> {
    let mut places: HashMap<&str, &Source> = HashMap::new();
    let mut repeated = Vec::new();
    for Policy { name, source, .. } in policies {
        let first = *places.entry(name).or_insert(source);
        if std::ptr::eq(first, source) {
            continue;
        }
        repeated.push(Diagnostic {
            file: source.file.clone(),
            line: source.line,
            column: source.column,
            field: "metadata.name".to_owned(),
            message: format!("{} is the name of the policy at {first} already", quote(name)),
            help: "give each policy a name of its own".to_owned(),
        });
    }
    repeated
}

#[cfg(test)]
mod tests;
