//! Those who stir: each on a thread of its own, until the end.

mod changes;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{
    ledger::Ledger,
    peer::{Peer, Request, Values},
    site::Site,
};
use crate::stop::Stop;

pub(super) use changes::change;

/// How many cgroups are there from beginning to end, with connections coming and going.
pub(super) const RESIDENTS: u32 = 4;

/// What all policies of a soak have.
pub(super) const INTERVAL_S: u64 = 15;
pub(super) const PROBES: u32 = 4;
/// The policy of newcomers.
pub(super) const NEWCOMERS_IDLE_S: u64 = 45;
/// Those of residents, one after the other.
pub(super) const IDLES_S: std::ops::Range<u64> = 60..80;

/// Between two newcomers, which are the most work of all.
const BETWEEN_NEWCOMERS: Duration = Duration::from_millis(150);
/// Between two bursts of a resident's connections.
const BETWEEN_BURSTS: Duration = Duration::from_millis(100);
/// Between two questions of whether the daemon does well.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(250);
/// Every so many of these questions all that it can be asked is.
const ALL_QUESTIONS: u32 = 8;

/// All of them, by what they are called.
pub(super) type Stirrer = fn(&Site, &Ledger, &Stop) -> Result<()>;

/// A policy document for the cgroups that a glob matches.
pub(super) fn policy(name: &str, glob: &str, mode: &str, idle_s: u64) -> String {
    format!(
        "apiVersion: keepalive.dev/v1alpha1\nkind: ClusterKeepalivePolicy\nmetadata: {{name: {name}}}\nspec:\n  \
         cgroups: [\"{glob}\"]\n  mode: {mode}\n  \
         keepalive: {{idle: {idle_s}s, interval: {INTERVAL_S}s, probes: {PROBES}}}\n"
    )
}

/// Whether a connection has what a policy of this idle time gives it.
pub(super) fn has(end: &Values, idle_s: u64) -> bool {
    *end == Values { keepalive: true, idle_s, interval_s: INTERVAL_S, probes: PROBES }
}

/// Makes cgroups and removes them again, and sees when their policy is in force.
pub(super) fn come_and_go(site: &Site, ledger: &Ledger, stop: &Stop) -> Result<()> {
    site.write_policy("newcomers", Some(&policy("newcomers", "newcomer-*", "Tighten", NEWCOMERS_IDLE_S)))?;
    let home = site.cgroup("home")?;
    let mut peer = Peer::start(&site.netns, &home)?;
    for number in 0_u64.. {
        if stop.within(BETWEEN_NEWCOMERS) {
            break;
        }
        let cgroup = site.root.path().join(format!("newcomer-{number}"));
        let seen = peer.ask(&Request::Newcomer { cgroup, count: 5 })?;
        ensure!(seen.armed_after_us.is_some(), "newcomer {number} was never governed");
        ledger.judge("a newcomer", &seen.ends, |end| has(end, NEWCOMERS_IDLE_S));
        ledger.note(|window, totals| {
            window.newcomers.extend(seen.armed_after_us.map(Duration::from_micros));
            window.connected.push(Duration::from_micros(seen.connected_after_us));
            totals.newcomers += 1;
        });
    }
    Ok(())
}

/// Makes connections in cgroups that stay, by applications that try to be rid of keep-alive.
pub(super) fn reside(site: &Site, ledger: &Ledger, stop: &Stop) -> Result<()> {
    let mut residents = Vec::new();
    for number in 0..RESIDENTS {
        let cgroup = site.cgroup(&format!("resident-{number}"))?;
        residents.push((Peer::start(&site.netns, &cgroup)?, cgroup));
    }
    for (peer, _) in &mut residents {
        changes::wait_governed(peer, stop)?;
    }
    while !stop.within(BETWEEN_BURSTS) {
        for (peer, _) in &mut residents {
            let seen = peer.ask(&Request::Connect { count: 5, loosen: true })?;
            // Which of the policies it is, nobody can say who is not the one who changes them.
            ledger
                .judge("a resident", &seen.ends, |end| IDLES_S.contains(&end.idle_s) && has(end, end.idle_s));
        }
    }
    Ok(())
}

/// Asks the daemon all that it can be asked.
pub(super) fn ask(site: &Site, ledger: &Ledger, stop: &Stop) -> Result<()> {
    for number in 0_u32.. {
        if stop.within(BETWEEN_QUESTIONS) {
            break;
        }
        let began = Instant::now();
        site.ask("/v1/health")?;
        let took = began.elapsed();
        ledger.note(|window, totals| {
            window.health.push(took);
            totals.answers += 1;
        });
        if number % ALL_QUESTIONS == 0 {
            for path in ["/v1/status", "/v1/policies", "/v1/events", "/v1/sockets?all=true", "/v1/facts"] {
                site.ask(path)?;
            }
            site.scrape()?;
            ledger.note(|_, totals| totals.answers += 6);
        }
    }
    Ok(())
}
