//! Killed while a version takes over from another that lays out its storage in another way.

use super::{
    report::Loop,
    site::{Edition, Layout, Site},
};
use crate::support::At;

const EDITION: Edition = Edition::First;

pub(super) fn killed_at_any_step_of_an_upgrade_and_of_a_downgrade() {
    let mut site = Site::new("crash-upgrade");
    for layout in [Layout::Next, Layout::This] {
        let daemon = site.start(layout);
        site.note(layout, EDITION);
        drop(daemon);
    }
    let probers = site.probers(&[EDITION]);
    let mut kills = Loop::new("upgrade and downgrade", probers);
    let mut layout = Layout::Next;
    let steps = site.killed(layout, At::Last).steps;
    for at in kills.points.steps(steps) {
        let other = layout.other();
        let ended = site.killed(other, at);
        kills.killed(&ended);
        // Somebody tries again, or goes back.
        let (next, how) = if kills.points.either() { (other, "tried again") } else { (layout, "gone back") };
        site.make_whole(
            next,
            EDITION,
            &format!("{other:?} was begun, then {how}: {}", kills.round(at, ended.at)),
        );
        layout = next;
        kills.killed_at_rest();
    }
    for _ in 0..4 {
        layout = layout.other();
        site.make_whole(layout, EDITION, "one version after the other");
        kills.killed_at_rest();
    }
    kills.finish();
}
