//! What a policy is for.

use super::list::Texts;
use super::{Kind, selector};
use crate::policy::diagnostic::Fault;
use crate::policy::fields::{Field, Fields, Report};
use crate::policy::{
    CgroupGlob, LabelSelector, NamespaceGlob, NamespaceGlobs, NamespaceScope, PodScope, Scope,
};

/// Most globs in one list of namespaces. Whoever has more tenants than this names them alike, or gives each a
/// policy of its own.
const MOST_NAMESPACES: usize = 1000;
/// What both kinds say besides what they are for.
const COMMON: [&str; 9] = [
    "priority",
    "mode",
    "direction",
    "destinations",
    "keepalive",
    "userTimeout",
    "options",
    "applyToExisting",
    "podOverrides",
];
/// The fields for which pods a policy of the cluster is.
const FOR_PODS: [&str; 3] = ["namespaces", "excludedNamespaces", "podSelector"];

/// The fields of a `spec`.
pub(super) fn fields<'d>(field: &Field<'d>, kind: Kind, report: &mut Report<'_>) -> Option<Fields<'d>> {
    let of_kind: &[&str] = match kind {
        Kind::Cluster => &["cgroups", "namespaces", "excludedNamespaces", "podSelector"],
        Kind::Namespaced => &["podSelector"],
    };
    let misplaced = |name: &str| {
        ["cgroups", "namespaces", "excludedNamespaces"].contains(&name).then(|| {
            Fault::new(
                "a KeepalivePolicy is for the pods of its own namespace",
                "remove it (`podSelector` selects among those pods), or make this a ClusterKeepalivePolicy",
            )
        })
    };
    field.fields_but(&[of_kind, &COMMON].concat(), misplaced, report)
}

/// What the policy of `namespace` (`None` if it is of none, or of none that is valid) is for.
pub(super) fn scope(
    spec: &Fields<'_>,
    kind: Kind,
    namespace: Option<&str>,
    report: &mut Report<'_>,
) -> Option<Scope> {
    if kind == Kind::Namespaced {
        let selector = pod_selector(spec, report);
        let namespaces = NamespaceScope::One(namespace?.to_owned());
        return Some(Scope::Pods(PodScope { namespaces, selector: selector? }));
    }
    let for_pods: Vec<_> = FOR_PODS.iter().filter_map(|name| spec.optional(name)).collect();
    match spec.optional("cgroups") {
        Some(field) => {
            for for_pods in &for_pods {
                let help = "make two policies: `cgroups` selects by path, whatever runs there";
                for_pods.note(Fault::new("a policy with `cgroups` is not for pods", help), report);
            }
            cgroups(field, report).map(Scope::Cgroups)
        }
        None if for_pods.is_empty() => {
            let help = "add `namespaces: [\"*\"]` for every pod, or `cgroups: [\"system.slice/*\"]`";
            spec.note(Fault::new("neither pods nor cgroups are selected", help), report);
            None
        }
        None => {
            let included = namespaces(spec, "namespaces", report);
            let excluded = namespaces(spec, "excludedNamespaces", report);
            let selector = pod_selector(spec, report);
            let namespaces = NamespaceScope::Globs { included: included?, excluded: excluded? };
            Some(Scope::Pods(PodScope { namespaces, selector: selector? }))
        }
    }
}

fn cgroups(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<CgroupGlob>> {
    let texts = Texts {
        help: "list globs on cgroup paths, such as `[\"system.slice/nginx.service\", \"docker/*\"]`",
        item_help: "write a path such as `\"docker/*\"`",
        empty: "no cgroup is selected",
        // How many there may be, all policies together know.
        most: usize::MAX,
    };
    texts.read(field, CgroupGlob::parse, report)
}

fn namespaces(spec: &Fields<'_>, name: &str, report: &mut Report<'_>) -> Option<NamespaceGlobs> {
    let Some(field) = spec.optional(name) else { return Some(NamespaceGlobs::default()) };
    let texts = Texts {
        help: "list globs on the names of namespaces, such as `[payments, \"team-*\"]`, or remove the line",
        item_help: "write a name such as `payments`",
        empty: "no namespace is listed",
        most: MOST_NAMESPACES,
    };
    let globs = texts.read(field, NamespaceGlob::parse, report)?;
    field.accept(NamespaceGlobs::new(globs), report)
}

fn pod_selector(spec: &Fields<'_>, report: &mut Report<'_>) -> Option<LabelSelector> {
    spec.optional("podSelector")
        .map_or_else(|| Some(LabelSelector::default()), |field| selector::read(field, report))
}
