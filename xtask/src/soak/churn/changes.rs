//! Policies that change, go and come back, and the connections that must follow them.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{IDLES_S, Ledger, Peer, Request, Site, Stop, Values, has, policy};

/// Between two changes.
const BETWEEN: Duration = Duration::from_millis(500);

/// Between two looks at whether a change has come about.
const LOOK: Duration = Duration::from_millis(2);

/// Far beyond what a change takes, and a restart of the daemon with it.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many connections stay open, to be swept at each change.
const KEPT: u32 = 50;

/// The policy that goes and comes back.
const SOMETIMES: &str = "sometimes";
const SOMETIMES_IDLE_S: u64 = 50;

/// Changes policies, and sees what becomes of connections.
pub(in super::super) fn change(site: &Site, ledger: &Ledger, stop: &Stop) -> Result<()> {
    let cgroups = [site.cgroup("resident-watched")?, site.cgroup(SOMETIMES)?];
    let [mut watched, mut sometimes] =
        [Peer::start(&site.netns, &cgroups[0])?, Peer::start(&site.netns, &cgroups[1])?];
    write_residents(site, IDLES_S.start)?;
    wait_governed(&mut watched, stop)?;
    watched.ask(&Request::Keep { count: KEPT })?;
    for idle_s in IDLES_S.cycle().skip(1) {
        if stop.within(BETWEEN) {
            break;
        }
        let began = Instant::now();
        write_residents(site, idle_s)?;
        let one = Request::Connect { count: 1, loosen: false };
        let Some(changed) = until(&mut watched, &one, stop, |end| has(end, idle_s))? else { break };
        let Some(swept) = until(&mut watched, &Request::LookAtKept, stop, |end| has(end, idle_s))? else {
            break;
        };
        ledger.note(|window, totals| {
            window.changes.push(changed - began);
            window.sweeps.push(swept - began);
            totals.changes += 1;
        });

        let text = policy(SOMETIMES, SOMETIMES, "Tighten", SOMETIMES_IDLE_S);
        site.write_policy(SOMETIMES, Some(&text))?;
        let governed = until(&mut sometimes, &one, stop, |end| has(end, SOMETIMES_IDLE_S))?;
        if governed.is_none() {
            break;
        }
        let seen = sometimes.ask(&Request::Connect { count: 5, loosen: false })?;
        ledger.judge("one governed at times", &seen.ends, |end| has(end, SOMETIMES_IDLE_S));
        site.write_policy(SOMETIMES, None)?;
        if until(&mut sometimes, &one, stop, |end| !end.keepalive)?.is_some() {
            ledger.note(|_, totals| totals.withdrawals += 1);
        }
    }
    Ok(())
}

/// Waits until a resident has a policy for the first time.
pub(super) fn wait_governed(peer: &mut Peer, stop: &Stop) -> Result<()> {
    until(peer, &Request::Connect { count: 1, loosen: false }, stop, |end| end.keepalive).map(drop)
}

fn write_residents(site: &Site, idle_s: u64) -> Result<()> {
    site.write_policy("residents", Some(&policy("residents", "resident-*", "Enforce", idle_s)))
}

/// Asks until all that a peer sees is as wanted; when that was, unless the soak ended before.
fn until(
    peer: &mut Peer,
    request: &Request,
    stop: &Stop,
    is_wanted: impl Fn(&Values) -> bool,
) -> Result<Option<Instant>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let ends = peer.ask(request)?.ends;
        if ends.iter().all(&is_wanted) {
            return Ok(Some(Instant::now()));
        }
        if stop.within(LOOK) {
            return Ok(None);
        }
        if let Some(other) = ends.iter().find(|end| !is_wanted(end))
            && Instant::now() > deadline
        {
            bail!("after {} s a connection still has {other:?}", PATIENCE.as_secs());
        }
    }
}
