//! What a policy is for.

use super::diagnostic::{quote, quote_some};
use super::{CgroupGlob, LabelSelector, NamespaceGlob, NamespaceGlobs, PodFacts};

/// What a policy is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Scope {
    /// The cgroups that these globs match; at least one.
    Cgroups(Vec<CgroupGlob>),
    /// Pods.
    Pods(PodScope),
}

/// The pods a policy is for.
#[derive(Clone, Debug, PartialEq)]
pub struct PodScope {
    /// Of which namespaces.
    pub namespaces: NamespaceScope,
    /// With which labels.
    pub selector: LabelSelector,
}

/// Namespaces.
#[derive(Clone, Debug, PartialEq)]
pub enum NamespaceScope {
    /// This one.
    One(String),
    /// Those that one of `included` matches (all, if it is empty) and none of `excluded`.
    Globs {
        /// `spec.namespaces`
        included: NamespaceGlobs,
        /// `spec.excludedNamespaces`
        excluded: NamespaceGlobs,
    },
}

impl Scope {
    /// The globs on cgroups; none if it is for pods.
    pub(super) fn cgroups(&self) -> &[CgroupGlob] {
        match self {
            Self::Cgroups(globs) => globs,
            Self::Pods(_) => &[],
        }
    }

    /// How many globs it has, whatever they match.
    pub(super) fn globs(&self) -> usize {
        match self {
            Self::Cgroups(globs) => globs.len(),
            Self::Pods(PodScope { namespaces: NamespaceScope::One(_), .. }) => 0,
            Self::Pods(PodScope { namespaces: NamespaceScope::Globs { included, excluded }, .. }) => {
                included.len() + excluded.len()
            }
        }
    }
}

impl PodScope {
    /// Whether the policy is for `pod`.
    ///
    /// # Errors
    /// If it is not: why, for people.
    pub fn check(&self, pod: &PodFacts) -> Result<(), String> {
        self.namespaces.check(&pod.namespace)?;
        self.selector.check(&pod.labels)
    }

    /// Whether the policy is for `pod`, without the words.
    pub(super) fn selects(&self, pod: &PodFacts) -> bool {
        self.namespaces.contains(&pod.namespace) && self.selector.selects(&pod.labels)
    }
}

impl NamespaceScope {
    fn contains(&self, namespace: &str) -> bool {
        match self {
            Self::One(one) => one == namespace,
            Self::Globs { included, excluded } => {
                (included.is_empty() || included.matches(namespace)) && !excluded.matches(namespace)
            }
        }
    }

    fn check(&self, namespace: &str) -> Result<(), String> {
        if self.contains(namespace) {
            return Ok(());
        }
        let given = quote(namespace);
        Err(match self {
            Self::One(one) => format!("namespace is {given}, not {}", quote(one)),
            Self::Globs { excluded, .. } if excluded.matches(namespace) => {
                format!("namespace {given} is excluded")
            }
            Self::Globs { included, .. } => {
                let globs = quote_some(included.iter().map(NamespaceGlob::as_str));
                format!("namespace is {given}, which does not match {globs}")
            }
        })
    }
}

#[cfg(test)]
mod tests;
