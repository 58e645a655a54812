//! All families, with what each says.

use std::fmt;

use super::{Labels, Writer};
use crate::{
    metrics::{
        Snapshot, options,
        snapshot::{OfCgroup, Runtime},
    },
    policy::{DIRECTIONS, MODES, Policy, PolicyId},
    report::helped::Help,
};

pub(super) fn write(snapshot: &Snapshot, to: &mut Writer<'_>) -> fmt::Result {
    itself(snapshot, to)?;
    policies(snapshot, to)?;
    cgroups(snapshot, to)?;
    connections(snapshot, to)?;
    open_connections(snapshot, to)?;
    help(snapshot, to)?;
    snapshot.runtime.as_ref().map_or(Ok(()), |it| runtime(it, to))?;
    single_cgroups(&snapshot.cgroups, to)
}

/// The daemon.
fn itself(snapshot: &Snapshot, to: &mut Writer<'_>) -> fmt::Result {
    let Snapshot { tasks, maps, reconciles, .. } = snapshot;
    to.info("build", "The version of the daemon", [vec![("version", env!("CARGO_PKG_VERSION"))]])?;
    let is_ready = tasks.iter().all(|(_, done)| *done);
    to.gauge("ready", "Whether all policies are in force: no task is unfinished", is_ready.into())?;
    let unfinished = tasks.iter().map(|(task, done)| (vec![("task", *task)], usize::from(!done)));
    to.gauges(
        "unfinished_tasks",
        "What has to be done for the daemon to be ready, 1 while it is not",
        unfinished,
    )?;
    to.seconds(
        "reconcile_duration",
        "How long it took to compare what should be with what is and to act on the difference",
        reconciles,
    )?;
    let entries = maps.iter().map(|(map, entries, _)| (vec![("map", *map)], *entries));
    to.gauges("map_entries", "Entries in a map of the kernel that can fill up", entries)?;
    let capacity = maps.iter().map(|(map, _, capacity)| (vec![("map", *map)], *capacity));
    to.gauges("map_capacity", "The most entries that a map of the kernel can have", capacity)
}

fn policies(snapshot: &Snapshot, to: &mut Writer<'_>) -> fmt::Result {
    let Snapshot { policies, attached, reloaded, .. } = snapshot;
    let governing = policies.iter().filter(|policy| attached.contains_key(&policy.id.to_string())).count();
    to.gauges(
        "policies",
        "Policies in force: those that govern a cgroup here, and those that govern none",
        [
            (vec![("state", "governing")], governing),
            (vec![("state", "idle")], policies.len().saturating_sub(governing)),
        ],
    )?;
    to.gauge(
        "policies_last_reload_successful",
        "Whether the policies in force are those that lie in the directory; 0 if these have a mistake",
        (*reloaded).into(),
    )?;
    let facts: Vec<_> = policies.iter().map(|policy| (policy.id.to_string(), policy)).collect();
    to.info("policy", "What a policy in force does", facts.iter().map(|(name, policy)| info(name, policy)))
}

fn info<'a>(name: &'a str, policy: &'a Policy) -> Labels<'a> {
    let PolicyId { namespace, .. } = &policy.id;
    let mode = MODES.iter().find(|(_, mode)| *mode == policy.mode).map_or("", |(name, _)| name);
    let direction =
        DIRECTIONS.iter().find(|(_, direction)| *direction == policy.direction).map_or("", |(name, _)| name);
    vec![
        ("policy", name),
        ("policy_namespace", namespace.as_deref().unwrap_or_default()),
        ("kind", policy.kind().name()),
        ("mode", mode),
        ("direction", direction),
    ]
}

fn cgroups(snapshot: &Snapshot, to: &mut Writer<'_>) -> fmt::Result {
    let names = names(snapshot);
    let cgroups = names
        .iter()
        .map(|name| (vec![("policy", &**name)], snapshot.attached.get(name).copied().unwrap_or_default()));
    to.gauges("attached_cgroups", "Cgroups that a policy governs", cgroups)?;
    to.gauge(
        "refused_cgroups",
        "Cgroups that a policy selects and that could not be attached to, or not guarded; status names each",
        snapshot.refused,
    )?;
    let errors = snapshot.attach_errors.iter().map(|(reason, errors)| (vec![("reason", *reason)], *errors));
    to.counters(
        "attach_errors",
        "Cgroups that came to be refused, or to be refused for another reason",
        errors,
    )
}

/// What the programs count, of each policy.
fn connections(snapshot: &Snapshot, to: &mut Writer<'_>) -> fmt::Result {
    let (names, sums) = (names(snapshot), &snapshot.sums);
    let counted: Vec<_> = names.iter().map(|name| (name, sums.of_policy(name))).collect();
    let by_direction = counted.iter().flat_map(|(name, counted)| {
        let labels = |direction| vec![("policy", name.as_str()), ("direction", direction)];
        options::directions(counted).map(|(direction, count)| (labels(direction), count))
    });
    to.counters(
        "established_connections",
        "Connections established under a policy, by direction",
        by_direction,
    )?;
    let by_result = counted.iter().flat_map(|(name, counted)| {
        let labels = |result| vec![("policy", name.as_str()), ("result", result)];
        options::results(counted).map(|(result, count)| (labels(result), count))
    });
    to.counters("connections", "Connections established under a policy, by what came of each", by_result)?;
    let refused: Vec<_> =
        sums.refused().map(|(option, errno, refused)| (option, errno_name(errno), refused)).collect();
    let refused = refused
        .iter()
        .map(|(option, errno, refused)| (vec![("option", *option), ("errno", errno.as_str())], *refused));
    to.counters(
        "setsockopt_errors",
        "Options that the kernel refused to set; of several since the last look all have the errno of the last",
        refused,
    )?;
    let rewritten = options::rewritten(sums.all());
    let rewritten = rewritten.map(|(option, count)| (vec![("option", option)], count));
    to.counters("rewritten", "Later calls of applications that Enforce rewrote", rewritten)
}

/// What was open before its policy.
fn open_connections(snapshot: &Snapshot, to: &mut Writer<'_>) -> fmt::Result {
    let existing = snapshot.existing.iter().map(|(result, count)| (vec![("result", *result)], *count));
    to.counters(
        "existing_connections",
        "Connections that were open already, each time a sweep that is done looked at them, by what came of each",
        existing,
    )?;
    let Some(sweeping) = snapshot.sweeping else { return Ok(()) };
    to.gauge(
        "sweep_works",
        "Whether connections that are open already can be changed; absent where none is to be",
        sweeping.works.into(),
    )?;
    to.gauge(
        "sweep_unreachable_namespaces",
        "Network namespaces that the last sweep could not look into",
        sweeping.unreachable,
    )
}

/// Whether it helped.
fn help(snapshot: &Snapshot, to: &mut Writer<'_>) -> fmt::Result {
    let Some((by_policy, watch)) = &snapshot.helped else { return Ok(()) };
    let names = names(snapshot);
    let nothing = Help::default();
    let rows = || names.iter().map(|name| (name.as_str(), by_policy.get(name).unwrap_or(&nothing)));
    let labels = |name| vec![("policy", name)];
    if watch.finds_dead_peers {
        let dead = rows().flat_map(|(name, help)| {
            let dead = help.dead_peers.unwrap_or_default();
            [("keepalive", dead.keepalive), ("user_timeout", dead.user_timeout), ("reset", dead.reset)]
                .map(|(found_by, count)| (vec![("policy", name), ("found_by", found_by)], count))
        });
        to.counters("dead_peers", "Connections that were closed because their peer was found dead", dead)?;
    }
    let kept = rows().map(|(name, help)| (labels(name), help.kept_alive));
    to.counters(
        "kept_alive",
        "Silences beyond --silent-after that a connection survived because its probes were answered",
        kept,
    )?;
    let used = rows().map(|(name, help)| (labels(name), help.used_again));
    to.counters("used_again", "Connections that carried data again after such a silence", used)?;
    let longest = rows().map(|(name, help)| {
        (labels(name), usize::try_from(help.longest_silence_seconds).unwrap_or(usize::MAX))
    });
    to.gauges("longest_silence_seconds", "The longest silence that a connection survived", longest)?;
    to.gauge(
        "dead_peer_watch_works",
        "Whether connections whose peer is found dead can be noticed; absent where they are not to be",
        watch.trouble.is_none().into(),
    )?;
    to.counter(
        "events_lost",
        "Dead peers that were counted and that no event tells of: too many at a time",
        watch.untold,
    )
}

fn runtime(runtime: &Runtime, to: &mut Writer<'_>) -> fmt::Result {
    let Runtime { answers, pods, unreachable, annotations } = *runtime;
    to.gauge(
        "runtime_up",
        "Whether the container runtime answers; without it new pods are not governed",
        answers.into(),
    )?;
    to.gauge("pods", "Pods that the container runtime told of", pods)?;
    to.gauge(
        "unreachable_pods",
        "Pods that no policy can reach: a TCP of their own, or no cgroup",
        unreachable,
    )?;
    to.gauge("refused_annotations", "Annotations of pods that are not followed", annotations)
}

/// What was asked for with `--metrics-labels`.
fn single_cgroups(cgroups: &[OfCgroup], to: &mut Writer<'_>) -> fmt::Result {
    fn labels<'a>(of: &'a OfCgroup, last: (&'static str, &'a str)) -> Labels<'a> {
        of.labels.iter().map(|(name, value)| (*name, value.as_str())).chain([last]).collect()
    }
    let by_direction = cgroups.iter().flat_map(|of| {
        options::directions(&of.counted)
            .map(|(direction, count)| (labels(of, ("direction", direction)), count))
    });
    to.counters(
        "cgroup_established_connections",
        "Connections established in a governed cgroup since it is there, by direction",
        by_direction,
    )?;
    let by_result = cgroups.iter().flat_map(|of| {
        options::results(&of.counted).map(|(result, count)| (labels(of, ("result", result)), count))
    });
    to.counters(
        "cgroup_connections",
        "Connections established in a governed cgroup since it is there, by what came of each",
        by_result,
    )
}

/// The policies in force, and those that still govern something or did a moment ago.
fn names(snapshot: &Snapshot) -> Vec<String> {
    let mut names: Vec<String> = snapshot.policies.iter().map(|policy| policy.id.to_string()).collect();
    names.extend(snapshot.attached.keys().cloned());
    names.extend(snapshot.sums.policies().map(str::to_owned));
    names.sort();
    names.dedup();
    names
}

fn errno_name(errno: u64) -> String {
    let errno = i32::try_from(errno).map_or(nix::errno::Errno::UnknownErrno, nix::errno::Errno::from_raw);
    format!("{errno:?}")
}
