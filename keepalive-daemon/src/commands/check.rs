//! `check`: whether what connections have holds them open on their way.

use std::{collections::BTreeMap, fs, ops::ControlFlow, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;

use super::failure::{Misuse, Verdict};
use crate::{
    answers::SocketQuery,
    api::{self, client},
    check::{self, Catalogue, Chosen, Cure, Governing, Groups, Surroundings},
    cli::{MinIdleArg, OutputArg, SocketArg},
    facts::{Facts, KeepAliveDefaults},
    report::{self, check::Checked, policies::PolicyList, sockets::SocketSummary},
};

/// Check whether keep-alive holds connections open against what is on their way.
///
/// Holds what each connection has against the timeouts of the node's own connection tracking, NAT and IPVS, and of what
/// --profile names, and says what policy would help. It looks at the connections of governed workloads, with --all at
/// those of the whole node, and sends nothing. Exits with 3 if something is not fine.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// What is on the way beyond the node: aws, azure, gcp, ipvs, or another profile or middlebox of the catalogue,
    /// several with commas; `auto` goes by what the firmware of the machine says.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', default_value = "auto")]
    profile: Vec<String>,
    /// Only pods of this namespace.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Only pods of this name.
    #[arg(short, long, value_name = "POD")]
    pod: Option<String>,
    /// Only cgroups that this glob matches, as in policies: `system.slice/*`.
    #[arg(long, value_name = "GLOB")]
    cgroup: Option<String>,
    /// Also workloads that no policy governs.
    #[arg(long)]
    all: bool,
    /// A file with middleboxes of your own, in the form of the built-in catalogue,
    /// `keepalive-daemon/src/check/catalogue.yaml`; one with an id from there takes its place.
    #[arg(long, value_name = "FILE", env = "KEEPALIVE_CATALOGUE")]
    catalogue: Option<PathBuf>,
    #[command(flatten)]
    min_idle: MinIdleArg,
    #[command(flatten)]
    socket: SocketArg,
    #[command(flatten)]
    output: OutputArg,
}

/// Asks the daemon, holds what it tells against what is on the way, and prints verdicts.
pub(crate) fn run(options: Options) -> Result<Verdict> {
    let Options { profile, namespace, pod, cgroup, all, catalogue, min_idle, socket, output } = options;
    let query = SocketQuery { namespace, pod, cgroup, all, ..SocketQuery::default() };
    let socket = &socket.api_socket;
    let catalogue = read(catalogue.as_ref())?;
    check::look_up(&catalogue, &profile).map_err(|error| Misuse(format!("--profile: {error}")))?;
    let facts: Facts = client::require(socket, api::FACTS)?;
    let Chosen { profiles, middleboxes, mut notes } = Chosen::new(&catalogue, &profile, &facts.machine);
    notes.extend(defaults(&facts));
    let surroundings = Surroundings::new(middleboxes, &facts);
    let mut groups = Groups::new(&surroundings);
    let SocketSummary { connections, unreachable, missing, .. } =
        client::connections(socket, &query, |row| {
            groups.add(row);
            ControlFlow::Continue(())
        })?;
    if connections == 0 && !query.is_named() && !all {
        notes
            .push("no governed workload has a connection; --all looks at those of the whole node".to_owned());
    }
    notes.extend(unseen([facts.unreachable, unreachable, missing].concat()));
    let seen = groups.seen();
    let groups = groups.finish();
    let governing = governing(client::require(socket, api::POLICIES)?);
    let cure = Cure::new(&groups, &governing, &min_idle.limits());
    let checked = Checked::new(profiles, seen, &groups, cure, notes);
    report::print(&checked, output.output)?;
    Ok(if checked.fine { Verdict::Good } else { Verdict::NotFine })
}

fn read(file: Option<&PathBuf>) -> Result<Catalogue> {
    let built_in = Catalogue::built_in()?;
    let Some(file) = file else { return Ok(built_in) };
    let text = fs::read_to_string(file)
        .with_context(|| format!("cannot read the catalogue {}; pass another --catalogue", file.display()))?;
    built_in.with(&file.display().to_string(), &text).context("cannot use the catalogue")
}

fn governing(policies: PolicyList) -> BTreeMap<String, Governing> {
    let governing = policies.0.into_iter().map(|policy| {
        let governing = Governing {
            priority: policy.priority,
            enforces: policy.values.mode == "Enforce",
            place: format!("{}:{}", policy.file, policy.line),
        };
        (policy.name, governing)
    });
    governing.collect()
}

/// What a connection gets that asks for keep-alive and no more.
fn defaults(facts: &Facts) -> Option<String> {
    let KeepAliveDefaults { idle_seconds, interval_seconds, probes } =
        facts.namespaces.iter().find(|it| it.is_nodes)?.keep_alive_defaults.as_ref()?;
    Some(format!(
        "an application that only turns keep-alive on has a first probe after {idle_seconds} s here, and {probes} of \
         them {interval_seconds} s apart (net.ipv4.tcp_keepalive_*)"
    ))
}

/// What was not looked at may be anything.
fn unseen(mut unreachable: Vec<String>) -> Option<String> {
    unreachable.sort();
    unreachable.dedup();
    match &unreachable[..] {
        [] => None,
        [one] => Some(format!("not looked at: {one}")),
        [one, others @ ..] => Some(format!("not looked at: {one}; and {} more", others.len())),
    }
}
