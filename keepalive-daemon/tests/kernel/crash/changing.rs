//! Killed while it puts other policies in force.

use std::time::Duration;

use super::{
    report::Loop,
    site::{Edition, Layout, READY, Site},
};
use crate::support::{At, End, Ended, run_until};

const LAYOUT: Layout = Layout::This;

/// What a daemon says last of a change between the two policies: a cgroup goes with each of them.
const CHANGED: &str = " detached cgroup=";

/// Beyond what a change takes from the file to the kernel, for most of which the daemon waits for more files.
const CHANGE: Duration = Duration::from_millis(120);

/// A host that knows what both policies write, with the first in force and the daemon killed.
fn site(label: &str) -> Site {
    let mut site = Site::new(label);
    for edition in [Edition::Second, Edition::First] {
        site.write(edition);
        let daemon = site.start(LAYOUT);
        site.note(LAYOUT, edition);
        drop(daemon);
    }
    site
}

pub(super) fn killed_at_any_step_of_a_start_with_other_policies() {
    let mut site = site("crash-change");
    site.write(Edition::Second);
    let steps = site.killed(LAYOUT, At::Last).steps;
    let probers = site.probers(&[Edition::First, Edition::Second]);
    let mut kills = Loop::new("policies changed meanwhile", probers);
    let mut edition = Edition::Second;
    for at in kills.points.steps(steps) {
        edition = edition.other();
        site.write(edition);
        let ended = site.killed(LAYOUT, at);
        kills.killed(&ended);
        if kills.points.either() {
            // Somebody takes the change back before it was whole.
            edition = edition.other();
            site.write(edition);
        }
        site.make_whole(LAYOUT, edition, &kills.round(at, ended.at));
        kills.killed_at_rest();
    }
    kills.finish();
}

pub(super) fn killed_at_any_step_of_a_reload() {
    let mut site = site("crash-reload");
    let mut edition = Edition::Second;
    let steps = reload(&site, edition, At::Last).steps;
    let probers = site.probers(&[Edition::First, Edition::Second]);
    let mut kills = Loop::new("reload", probers);
    for step in kills.points.steps(steps) {
        let at = if kills.points.either() { step } else { kills.points.moment(CHANGE) };
        edition = edition.other();
        let ended = reload(&site, edition, at);
        kills.killed(&ended);
        site.make_whole(LAYOUT, edition, &kills.round(at, ended.at));
        kills.killed_at_rest();
    }
    kills.finish();
}

/// Gives a running daemon other policies, and kills it at a point of what comes of that.
fn reload(site: &Site, edition: Edition, at: At) -> Ended {
    let change = || site.write(edition);
    let end = End { from: Some((READY, &change)), at, until: Some(CHANGED) };
    let ended = run_until(site.command(LAYOUT), &end);
    assert_eq!(ended.code, None, "it ended by itself:\n{}", ended.said);
    ended
}
