//! All policies together, and which of them governs a cgroup.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use globset::{GlobSet, GlobSetBuilder};

use super::diagnostic::{Diagnostic, Fault, printable, quote};
use super::{Kind, NamespaceScope, PodFacts, PodScope, Policy, PolicyId, Scope, Source};

/// Most globs of all policies together: compiling so many takes a fraction of a second.
const MOST_GLOBS: usize = 10_000;

/// Validated policies with unique names. Immutable; a clone shares the storage.
#[derive(Clone)]
pub struct PolicySet(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// The one that wins comes first: the index of a policy is its rank.
    policies: Vec<Policy>,
    /// All globs on cgroups but those that are the root.
    matcher: GlobSet,
    /// Of each glob of the matcher, the index of its policy and its own index therein.
    owners: Vec<(usize, usize)>,
    /// The policies that select the root, in their order; so those below.
    of_root: Vec<usize>,
    /// The policies for the pods of one namespace, by that.
    of_namespace: HashMap<String, Vec<usize>>,
    /// The policies for pods of any namespace.
    of_pods: Vec<usize>,
}

/// A glob that selects no cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmatched {
    /// Its policy.
    pub policy: PolicyId,
    /// Where the policy is written.
    pub source: Source,
    /// The glob as written.
    pub glob: String,
}

/// Two policies that only their names rank.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tie {
    /// The one that governs.
    pub winner: PolicyId,
    /// The one that would govern without it.
    pub loser: PolicyId,
}

impl PolicySet {
    /// No policies.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::default())
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
        policies.sort_by(|a, b| (rank(a), &a.id).cmp(&(rank(b), &b.id)));
        let too_many = |message| {
            let file = policies.last().map_or("", |policy| &policy.source.file);
            vec![Diagnostic::of_file(file, Fault::new(message, "use fewer, or simpler, globs"))]
        };
        if policies.iter().map(|policy| policy.scope.globs()).sum::<usize>() > MOST_GLOBS {
            return Err(too_many(format!("all policies together have more than {MOST_GLOBS} globs")));
        }
        let mut inner = Inner::default();
        let mut builder = GlobSetBuilder::new();
        for (policy, Policy { scope, .. }) in policies.iter().enumerate() {
            match scope {
                Scope::Cgroups(globs) => {
                    for (index, glob) in globs.iter().enumerate() {
                        match glob.compiled() {
                            None => inner.of_root.push(policy),
                            Some(glob) => {
                                builder.add(glob.clone());
                                inner.owners.push((policy, index));
                            }
                        }
                    }
                }
                Scope::Pods(PodScope { namespaces: NamespaceScope::One(one), .. }) => {
                    inner.of_namespace.entry(one.clone()).or_default().push(policy);
                }
                Scope::Pods(_) => inner.of_pods.push(policy),
            }
        }
        let matcher = builder.build().map_err(|e| {
            too_many(format!(
                "the globs of all policies together are too many: {}",
                printable(&e.to_string())
            ))
        })?;
        Ok(Self(Arc::new(Inner { policies, matcher, ..inner })))
    }

    /// Whether any policy is for pods.
    #[must_use]
    pub fn selects_pods(&self) -> bool {
        self.iter().any(Policy::is_for_pods)
    }

    /// Where two policies of equal rank, but for their names, both select the workload at `path`, and the
    /// names decide which governs; `None` if rank alone decides.
    #[must_use]
    pub fn tie(&self, path: &str, pod: Option<&PodFacts>) -> Option<Tie> {
        let cgroups = self.of_cgroup(path);
        let winner = self.next(&cgroups, pod, 0)?;
        let loser = self.next(&cgroups, pod, winner + 1)?;
        let [winner, loser] = [winner, loser].map(|index| &self.0.policies[index]);
        (rank(winner) == rank(loser)).then(|| Tie { winner: winner.id.clone(), loser: loser.id.clone() })
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

    /// The policy that governs the cgroup at `path`, which is that of `pod` if there is one: of those that
    /// select it the one of the highest priority, then of the most specific [`Kind`], then the one whose name
    /// sorts first. `path` starts below the cgroup2 root, without a leading slash; empty is the root. That a
    /// policy of an ancestor covers the cgroup too is not considered.
    #[must_use]
    pub fn select(&self, path: &str, pod: Option<&PodFacts>) -> Option<&Policy> {
        let winner = self.next(&self.of_cgroup(path), pod, 0)?;
        self.0.policies.get(winner)
    }

    /// All policies in the order of their rank, each with whether it selects the workload at `path`, as
    /// [`Self::select`] would.
    pub(crate) fn selection(
        &self,
        path: &str,
        pod: Option<&PodFacts>,
    ) -> impl Iterator<Item = (&Policy, bool)> {
        let cgroups = self.of_cgroup(path);
        self.iter().enumerate().map(move |(index, policy)| {
            let selects = match &policy.scope {
                Scope::Cgroups(_) => cgroups.binary_search(&index).is_ok(),
                Scope::Pods(scope) => pod.is_some_and(|pod| scope.selects(pod)),
            };
            (policy, selects)
        })
    }

    /// The policies that select the cgroup at `path` for its path, in their order.
    fn of_cgroup(&self, path: &str) -> Vec<usize> {
        let Inner { matcher, owners, of_root, .. } = &*self.0;
        if path.is_empty() {
            return of_root.clone();
        }
        let mut policies: Vec<_> = matcher.matches(path).into_iter().map(|glob| owners[glob].0).collect();
        policies.sort_unstable();
        policies.dedup();
        policies
    }

    /// The first policy from the index `from` on that selects `pod`, or is one of `cgroups`.
    fn next(&self, cgroups: &[usize], pod: Option<&PodFacts>, from: usize) -> Option<usize> {
        let Inner { policies, of_namespace, of_pods, .. } = &*self.0;
        let rest = |indices: &[usize]| indices.partition_point(|&index| index < from);
        let by_path = cgroups[rest(cgroups)..].first().copied();
        let Some(pod) = pod else { return by_path };
        let selects = |index: &&usize| match &policies[**index].scope {
            Scope::Pods(scope) => scope.selects(pod),
            Scope::Cgroups(_) => false,
        };
        let mut first = by_path.unwrap_or(usize::MAX);
        for indices in [of_namespace.get(&pod.namespace), Some(of_pods)].into_iter().flatten() {
            let candidates = indices[rest(indices)..].iter().take_while(|&&index| index < first);
            first = candidates.clone().find(selects).copied().unwrap_or(first);
        }
        (first < policies.len()).then_some(first)
    }

    /// The globs that match none of `paths`, in the order of [`Self::iter`]: worth a warning, because a glob
    /// with a slip in it does nothing. The root always exists and counts as matched.
    #[must_use]
    pub fn unmatched<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> Vec<Unmatched> {
        let Inner { policies, matcher, owners, .. } = &*self.0;
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
                let Policy { id, source, scope, .. } = &policies[policy];
                Unmatched {
                    policy: id.clone(),
                    source: source.clone(),
                    glob: scope.cgroups()[glob].as_str().to_owned(),
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

/// What decides between policies, short of their names; the lesser governs.
pub(super) fn rank(policy: &Policy) -> (Reverse<i32>, Kind) {
    (Reverse(policy.priority), policy.kind())
}

fn repeated_names(policies: &[Policy]) -> Vec<Diagnostic> {
    let mut places: HashMap<&PolicyId, &Source> = HashMap::new();
    let mut repeated = Vec::new();
    for Policy { id, source, .. } in policies {
        let first = *places.entry(id).or_insert(source);
        if std::ptr::eq(first, source) {
            continue;
        }
        let of_namespace = if id.namespace.is_some() { " of a namespace" } else { "" };
        repeated.push(Diagnostic {
            file: source.file.clone(),
            line: source.line,
            column: source.column,
            field: "metadata.name".to_owned(),
            message: format!("{} is the name of the policy at {first} already", quote(&id.to_string())),
            help: format!("give each policy{of_namespace} a name of its own"),
        });
    }
    repeated
}

#[cfg(test)]
mod tests;
