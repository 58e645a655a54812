//! Whose connections somebody means who asks for a list, and what governs them.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::State;
use crate::{
    observer::places::{Governing, Place, Places, Ruling},
    plan::levels,
    policy::CgroupGlob,
    report::status::shown,
    workloads::is_transient,
};

/// Which connections are listed: those of which all that is given is true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SocketQuery {
    /// Of pods of this namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// Of pods of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<String>,
    /// Of cgroups that this glob matches, and of all below them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup: Option<String>,
    /// What this policy governs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    /// Only those whose keep-alive is off.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) unarmed: bool,
    /// Also those of cgroups that no policy governs. It makes no difference where `namespace`, `pod` or `cgroup` is
    /// given: what is named is listed whether it is governed or not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) all: bool,
    /// So many at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl SocketQuery {
    pub(crate) const fn is_named(&self) -> bool {
        self.namespace.is_some() || self.pod.is_some() || self.cgroup.is_some()
    }
}

impl State<'_> {
    /// The cgroups whose connections are meant, as they are governed now.
    ///
    /// # Errors
    /// If the glob is none, or what is named is not there.
    pub(crate) fn places(&self, query: &SocketQuery) -> Result<Places, String> {
        let glob = query.cgroup.as_deref().map(CgroupGlob::parse).transpose();
        let glob = glob.map_err(|fault| format!("cgroup: {fault}"))?.map(|glob| glob.matcher());
        let rulings = self.rulings();
        let is_anything_named = query.is_named();
        let mut places = Places { others: query.all && !is_anything_named, ..Places::default() };
        if query.policy.is_some() {
            places.others = false;
        }
        for (path, id) in self.node.cgroups() {
            let is_matched = glob.as_ref().is_none_or(|matches| levels(path).any(matches));
            if !is_matched {
                continue;
            }
            let facts = levels(path).find_map(|level| self.facts(level));
            let is = |wanted: &Option<String>, is: Option<&str>| {
                wanted.as_deref().is_none_or(|wanted| is == Some(wanted))
            };
            let governing = self.governing_place(path, &rulings);
            let policy = match &governing {
                Governing::Policy(ruling) => Some(ruling.name.as_str()),
                Governing::Nobody | Governing::Exec => None,
            };
            let is_meant = is(&query.namespace, facts.map(|pod| pod.namespace.as_str()))
                && is(&query.pod, facts.map(|pod| pod.name.as_str()))
                && is(&query.policy, policy)
                && (query.all || is_anything_named || policy.is_some());
            if is_meant {
                let pod = facts.map(ToString::to_string);
                places.by_id.insert(*id, Place { cgroup: shown(path), pod, governing });
            }
        }
        let is_any_asked_for = is_anything_named || query.policy.is_some();
        if is_any_asked_for && places.by_id.is_empty() {
            return Err(nothing_meant(query));
        }
        Ok(places)
    }

    /// What is in force, by the cgroup it is attached to.
    fn rulings(&self) -> BTreeMap<u64, Arc<Ruling>> {
        let attached = self.governor.attached();
        let in_force = || attached.iter().filter_map(|(id, actual)| Some((id, actual, actual.policy?)));
        // It costs a look at every cgroup.
        let has_rules = in_force().any(|(_, _, policy)| policy.destinations() != 0);
        let desired = if has_rules { self.plan().desired } else { BTreeMap::new() };
        let rulings = in_force().map(|(id, actual, policy)| {
            let wanted = desired.get(id).filter(|want| want.policy.destinations() == policy.destinations());
            let open = self.sweeps.open_connections(self.governor, *id).map(|open| open.state);
            let ruling = Ruling {
                name: actual.policy_name.clone(),
                policy,
                rules: wanted.and_then(|want| want.rules.clone()),
                open,
            };
            (*id, Arc::new(ruling))
        });
        rulings.collect()
    }

    /// What governs the cgroup at `path`: the deepest that is attached, of it and those above.
    fn governing_place(&self, path: &str, rulings: &BTreeMap<u64, Arc<Ruling>>) -> Governing {
        if is_transient(path) {
            return Governing::Exec;
        }
        let mut ids = levels(path).filter_map(|level| self.node.cgroups().get(level));
        ids.find_map(|id| rulings.get(id)).map_or(Governing::Nobody, |it| Governing::Policy(Arc::clone(it)))
    }
}

fn nothing_meant(query: &SocketQuery) -> String {
    let named = [
        ("namespace", &query.namespace),
        ("pod", &query.pod),
        ("cgroup", &query.cgroup),
        ("policy", &query.policy),
    ];
    let named = named.iter().filter_map(|(what, name)| Some(format!("{what} {}", name.as_deref()?)));
    format!(
        "no cgroup of this node is of {}; `keepalive-daemon status` shows those that are governed",
        named.collect::<Vec<_>>().join(" and ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_means_what_is_not_there_is_told_what_was_meant() {
        let pod = Some("web-0".to_owned());
        let query = SocketQuery { namespace: Some("shop".to_owned()), pod, ..SocketQuery::default() };

        assert!(nothing_meant(&query).contains("is of namespace shop and pod web-0;"));
    }
}
