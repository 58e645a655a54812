//! The governed cgroups, and those that should be, as entries of a list.

use std::{collections::HashMap, time::Instant};

use super::{
    Scope,
    listing::{Cell, Column, Line, approximate},
};
use crate::report::{
    open_connections::OpenConnections,
    status::{Cgroup, Status},
};

/// In the order of the cells of a [`Line`].
pub(super) const COLUMNS: &[Column] = &[
    column("POD, OR CGROUP", 0, false, "what is governed"),
    column("POLICY", 4, false, "the policy that governs it"),
    column("MODE", 8, false, "what the policy may do"),
    column("CONNECTIONS", 1, true, "ends of connections established since it is governed"),
    column("NEW/S", 6, true, "of these, a second, since the last picture"),
    column(
        "ARMED",
        2,
        true,
        "for how many of them the application had not asked for keep-alive, and has it now",
    ),
    column("TIGHTENED", 7, true, "of how many others values were lowered or replaced"),
    column("REFUSED", 3, true, "options that the kernel refused"),
    column("DEAD PEERS", 5, true, "connections that were closed because their other end was found dead"),
    column("OPEN", 9, true, "how many were changed that were open before, or why none was"),
];

/// The connections: what is busy comes first.
pub(super) const FIRST_SORTED_BY: usize = 3;

const fn column(title: &'static str, importance: u8, is_number: bool, about: &'static str) -> Column {
    Column { title, importance, is_number, about }
}

/// What a picture counted of each cgroup.
pub(super) struct Counted {
    at: Instant,
    established: HashMap<u64, u64>,
}

impl Counted {
    pub(super) fn of(status: &Status, at: Instant) -> Self {
        let of_each = status.cgroups.iter().map(|cgroup| (cgroup.id, cgroup.counters.established()));
        Self { at, established: of_each.collect() }
    }

    /// How many connections a cgroup had a second, since an earlier picture that knew it.
    fn rate(&self, before: &Self, id: u64) -> Option<f64> {
        let elapsed = self.at.checked_duration_since(before.at)?.as_secs_f64();
        let new = self.established.get(&id)?.checked_sub(*before.established.get(&id)?)?;
        (elapsed > 0.0).then(|| approximate(new) / elapsed)
    }

    /// As [`Self::rate`], of all together.
    pub(super) fn whole_rate(&self, before: &Self) -> f64 {
        self.established.keys().filter_map(|&id| self.rate(before, id)).sum()
    }
}

/// The entries: what is governed, then what a policy selects and cannot be.
pub(super) fn lines(status: &Status, before: Option<&Counted>, counted: &Counted) -> Vec<Line> {
    let governed = status.cgroups.iter().map(|cgroup| {
        let rate = before.and_then(|before| counted.rate(before, cgroup.id));
        governed(cgroup, rate)
    });
    let refused = status.refused.iter().map(|it| {
        let scope = Scope { pod: None, cgroup: it.path.clone() };
        ungoverned(&it.path, "not governed", &it.reason, Some(scope))
    });
    let unreachable =
        status.unreachable.iter().map(|it| ungoverned(&it.pod, "out of reach", &it.reason, None));
    governed.chain(refused).chain(unreachable).collect()
}

fn governed(cgroup: &Cgroup, rate: Option<f64>) -> Line {
    let Cgroup { path, id, pod, policy, in_force, counters, open_connections, helped } = cgroup;
    let (mode, values) = in_force.as_ref().map_or_else(
        || ("nothing".to_owned(), "nothing in force".to_owned()),
        |it| (it.mode.clone(), format!("{} {} {}", it.mode, it.direction, it.values())),
    );
    let refusals = counters.refusals();
    let open = open_connections.as_ref();
    let dead = helped.as_ref().and_then(|helped| helped.dead_peers);
    let details = [
        Some(format!("cgroup      {path} (id {id})")),
        Some(format!("policy      {policy}: {values}")),
        Some(format!(
            "connections {} established, {} armed, {} tightened",
            counters.established(),
            counters.armed(),
            counters.tightened()
        )),
        Some(format!("left alone  {}", counters.left_alone())),
        (refusals > 0).then(|| format!("refused     {}", counters.refused())),
        open.map(|open| format!("open before {}", open.text())),
        helped.as_ref().map(|helped| match helped.longest_silence_seconds {
            0 => format!("helped      {}", helped.text()),
            longest => format!("helped      {}; longest silence {longest} s", helped.text()),
        }),
    ];
    Line {
        id: format!("{id} {path}"),
        cells: vec![
            Cell::Text(pod.as_ref().unwrap_or(path).clone()),
            Cell::Text(policy.clone()),
            Cell::Text(mode),
            Cell::count(counters.established()),
            rate.map_or(Cell::Unknown, |rate| Cell::Number(rate, format!("{rate:.1}"))),
            share(counters.armed(), counters.established()),
            Cell::count(counters.get("tightened") + counters.get("overridden")),
            Cell::count(refusals),
            dead.map_or(Cell::Unknown, |dead| Cell::count(dead.total())),
            open.map_or(Cell::Unknown, changed),
        ],
        details: details.into_iter().flatten().collect(),
        is_trouble: refusals > 0 || in_force.is_none(),
        scope: Some(Scope { pod: pod.clone(), cgroup: path.clone() }),
    }
}

/// What a policy selects and does not get.
fn ungoverned(name: &str, state: &str, reason: &str, scope: Option<Scope>) -> Line {
    let mut cells = vec![Cell::Text(name.to_owned()), Cell::Text(state.to_owned())];
    cells.resize(COLUMNS.len(), Cell::Unknown);
    Line {
        id: format!("{state} {name}"),
        cells,
        details: vec![format!("{state}: {reason}")],
        is_trouble: true,
        scope,
    }
}

/// A part of a whole in per cent.
fn share(part: u64, whole: u64) -> Cell {
    if whole == 0 {
        return Cell::Unknown;
    }
    let share = 100.0 * approximate(part) / approximate(whole);
    Cell::Number(share, format!("{share:.0}%"))
}

/// What became of connections that were open before, to sort by how many were changed.
fn changed(open: &OpenConnections) -> Cell {
    let changed = open.last.as_ref().map_or(0, |last| last.armed + last.tightened + last.overridden);
    Cell::Number(approximate(changed), open.text())
}
