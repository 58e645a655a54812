//! Killed while it attaches to cgroups that had nothing, and while all is removed again.

use super::{
    report::Loop,
    site::{Edition, Layout, Site},
};
use crate::support::{At, End, Ended, eventually, objects, run_until};

pub(super) fn killed_at_any_step_of_attaching_and_of_cleanup() {
    const LAYOUT: Layout = Layout::This;
    const EDITION: Edition = Edition::First;
    let mut site = Site::new("crash-attach");
    drop(site.start(LAYOUT));
    site.note(LAYOUT, EDITION);
    let ended = clean_up(&site, At::Last);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let steps = site.killed(LAYOUT, At::Last).steps;
    let mut kills = Loop::new("attach and cleanup", Vec::new());
    let cleanups = kills.points.steps(ended.steps);
    let starts = kills.points.steps(steps);
    for round in 0..cleanups.len().max(starts.len()) {
        let at = cleanups[round % cleanups.len()];
        let ended = clean_up(&site, at);
        kills.killed(&ended);
        let after = kills.round(at, ended.at);
        if kills.points.either() {
            site.make_whole(LAYOUT, EDITION, &format!("a cleanup: {after}"));
            kills.killed_at_rest();
        }
        let removed = site.host.run("cleanup", &[]);
        assert_eq!(removed.status.code(), Some(0), "{after}: {removed:?}");
        site.check_empty(&after);

        let at = starts[round % starts.len()];
        let ended = site.killed(LAYOUT, at);
        kills.killed(&ended);
        let after = kills.round(at, ended.at);
        site.make_whole(LAYOUT, EDITION, &format!("a start: {after}"));
        kills.killed_at_rest();
    }
    let [programs, maps] = site.objects(LAYOUT);
    eventually("no other program than those that are pinned uses the policies", || {
        let mut users = objects::programs_of(*maps.iter().find(|map| objects::map_name(**map) == "POLICY")?);
        users.sort_unstable();
        (users == programs).then_some(())
    });
    assert_eq!(site.host.run("cleanup", &[]).status.code(), Some(0));
    site.check_empty("the last cleanup");
    eventually("the programs and their maps are freed", || {
        let is_left = programs.iter().any(|id| objects::exists("prog", *id))
            || maps.iter().any(|id| objects::exists("map", *id));
        (!is_left).then_some(())
    });
    kills.finish();
}

/// Removes everything, unless it is killed before.
fn clean_up(site: &Site, at: At) -> Ended {
    let ended = run_until(site.host.command("cleanup"), &End { from: None, at, until: None });
    assert!(matches!(ended.code, None | Some(0)), "{ended:?}");
    ended
}
