//! Any sequence of events, against a kernel that is made up: it holds what the actions put there, and refuses what a
//! kernel would. Planning and reconciling are the real ones.
//!
//! Whatever happens in between, what is desired comes about in the end, and nothing is done then any more; and each
//! action leaves each cgroup with the policy that it had or the one that it gets.

mod kernel;
mod world;

use std::collections::BTreeSet;

use proptest::prelude::*;

use self::{
    kernel::{Fault, Kernel, Tampering},
    world::{Ask, PATHS, SETS, World},
};
use super::*;
use crate::{
    plan::{Part, hold, plan},
    workloads::{Paths, Placed},
};

/// What may happen, with indices of what there is.
#[derive(Clone, Debug)]
enum Event {
    /// A cgroup is made; with an id that another had, if there is one.
    Make { at: usize, old_id: bool },
    /// A cgroup is removed with all below it.
    Remove(usize),
    /// The runtime tells of a pod.
    Tell(usize, Ask),
    /// The runtime tells that a pod is gone.
    Untell(usize),
    /// The runtime goes away, or comes back.
    Away(bool),
    /// Other policies are in force.
    Policies(usize),
    /// The daemon is killed after so many of the actions that the event before led to, and a new one finds what is there;
    /// of another version, if it finds its programs to be others.
    Restart { other_version: bool },
    /// Somebody changes what is there, and a new daemon finds it.
    Tamper(usize, Tampering),
}

fn event() -> impl Strategy<Value = Event> {
    let path = 0..PATHS.len();
    let ask = prop_oneof![3 => Just(Ask::Nothing), 2 => Just(Ask::OptOut), 1 => Just(Ask::Idle)];
    let tampering = prop_oneof![
        Just(Tampering::Zeroed),
        Just(Tampering::Unreadable),
        Just(Tampering::Renamed),
        Just(Tampering::OtherProgram),
        Just(Tampering::StaleGuard),
        Just(Tampering::NoGuard),
        Just(Tampering::Detached),
    ];
    prop_oneof![
        6 => (path.clone(), any::<bool>()).prop_map(|(at, old_id)| Event::Make { at, old_id }),
        3 => path.clone().prop_map(Event::Remove),
        3 => (world::pods(), ask).prop_map(|(at, ask)| Event::Tell(at, ask)),
        1 => world::pods().prop_map(Event::Untell),
        1 => any::<bool>().prop_map(Event::Away),
        4 => (0..SETS).prop_map(Event::Policies),
        1 => any::<bool>().prop_map(|other_version| Event::Restart { other_version }),
        1 => (path, tampering).prop_map(|(at, tampering)| Event::Tamper(at, tampering)),
    ]
}

/// What goes wrong in the pass that follows an event: of the actions, by their number.
fn fault() -> impl Strategy<Value = Option<(usize, Fault)>> {
    let fault = prop_oneof![Just(Fault::Gone), Just(Fault::Refused), Just(Fault::Killed)];
    prop::option::weighted(0.3, (0_usize..6, fault))
}

/// The daemon's books, the kernel and the world.
struct Model {
    world: World,
    kernel: Kernel,
    books: BTreeMap<u64, Actual>,
    /// Whether all went well in the pass before, and nobody changed anything since: what is there is what was planned.
    is_sound: bool,
    /// The same, but for what was missed.
    is_known: bool,
    /// The paths of cgroups that seemed to be gone when something was to be done to them.
    missed: BTreeSet<String>,
}

impl Model {
    fn happen(&mut self, event: &Event) {
        let Self { world, kernel, books, is_sound, is_known, .. } = self;
        match event {
            // Linux gives no id of a cgroup again (kernfs counts them in 64 bits); here one comes back as soon as the
            // books have its end, which a detachment that failed keeps from them until the next pass.
            Event::Make { at, old_id } => {
                let is_free = |id: u64| !books.contains_key(&id);
                world.make(*at, old_id.then_some(&is_free as &dyn Fn(u64) -> bool));
            }
            Event::Remove(at) => world.remove(*at).into_iter().for_each(|id| kernel.remove(id)),
            Event::Tell(at, ask) => world.tell(*at, *ask),
            Event::Untell(at) => world.untell(*at),
            Event::Away(away) => world.set_away(*away),
            Event::Policies(set) => world.set_policies(*set),
            Event::Restart { other_version } => {
                kernel.restart(*other_version);
                *books = kernel.found(&world.cgroups);
            }
            Event::Tamper(at, tampering) => {
                if let Some(id) = world.cgroups.get(PATHS[*at]) {
                    kernel.tamper(*id, *tampering);
                }
                (*is_sound, *is_known) = (false, false);
                *books = kernel.found(&world.cgroups);
            }
        }
    }

    /// The part that events were about, if a pass over that is enough: all is well but for cgroups that were made or
    /// removed.
    fn part(
        &mut self,
        events: &[Event],
        cgroups_before: &Paths,
        pods_before: Option<&Placed>,
    ) -> Option<Part> {
        let mut missed = std::mem::take(&mut self.missed);
        let (cgroups, pods) = (&self.world.cgroups, self.world.pods());
        let is_enough = self.is_known
            && events.iter().all(|event| matches!(event, Event::Make { .. } | Event::Remove(_)))
            && pods.as_ref() == pods_before;
        let is_news = |(path, id): &(&String, &u64)| cgroups_before.get(*path) != Some(id);
        missed.extend(cgroups.iter().filter(is_news).map(|(path, _)| path.clone()));
        let is_gone = |id: &u64| cgroups.values().all(|it| it != id);
        let gone = cgroups_before.values().copied().filter(is_gone).collect();
        is_enough.then(|| Part::of(&missed, gone, cgroups))
    }

    /// One pass, as the governor does it, over everything or a part; returns how many actions there were.
    fn pass(&mut self, fault: Option<(usize, Fault)>, part: Option<&Part>) -> usize {
        let Self { world, kernel, books, is_sound, is_known, missed } = self;
        let was_sound = std::mem::replace(is_sound, fault.is_none());
        *is_known |= part.is_none();
        let pods = world.pods();
        let actions = if let Some(part) = part {
            let attached = part.of_attached(books);
            let mut plan = plan(&world.policies, &part.cgroups, &part.placed(pods.as_ref()));
            hold(&mut plan, &attached, &world.policies, &part.cgroups, pods.as_ref());
            actions(&plan.desired, &attached)
        } else {
            let mut plan = plan(&world.policies, &world.cgroups, &pods.clone().unwrap_or_default());
            hold(&mut plan, books, &world.policies, &world.cgroups, pods.as_ref());
            actions(&plan.desired, books)
        };
        let count = actions.len();
        let before = world.governed_by(kernel);
        let mut seen = vec![before.clone()];
        for (number, (id, action)) in actions.into_iter().enumerate() {
            if pods.is_none() {
                let is_held = crate::workloads::is_like_pod(action.path())
                    && world.cgroups.get(action.path()) == Some(&id);
                let is_nothing =
                    books.get(&id).and_then(|have| have.policy).is_none_or(|it| it == Policy::NOTHING);
                assert!(
                    !is_held || is_nothing || !matches!(action, Action::Detach(_)),
                    "{action:?} while untold"
                );
            }
            match fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault) {
                Some(Fault::Killed) => {
                    kernel.half(id, &action);
                    *is_known = false;
                    *books = kernel.found(&world.cgroups);
                    return count;
                }
                // A detachment finds nothing gone.
                Some(Fault::Gone) if !matches!(action, Action::Detach(_)) => {
                    missed.insert(action.path().to_owned());
                }
                Some(Fault::Gone | Fault::Refused) => *is_known = false,
                None => {
                    let done = kernel.act(id, &action);
                    // What depends on an action that failed fails too, and is not booked; likewise of a cgroup that is gone.
                    let is_there = world.cgroups.values().any(|it| *it == id);
                    assert!(fault.is_some() || !is_there || done.is_ok(), "{done:?}: {action:?}");
                    if done.is_ok() {
                        book(books, id, action);
                    }
                    seen.push(world.governed_by(kernel));
                }
            }
        }
        if fault.is_none() && was_sound {
            let after = world.governed_by(kernel);
            for (step, now) in seen.iter().enumerate() {
                for (path, governing) in now {
                    let is_one = [&before, &after].iter().any(|it| it.get(path) == Some(governing));
                    assert!(
                        is_one,
                        "{path:?} has {governing:?} after {step} actions: {before:?} to {after:?}"
                    );
                }
            }
        }
        count
    }
}

impl Model {
    /// That the deepest that is selected governs, where all pods are known.
    fn check_governed(&self) {
        if self.world.pods().is_some() {
            assert_eq!(self.world.governed_by(&self.kernel), self.world.expected());
        }
    }
}

/// What the governor writes into its books.
fn book(books: &mut BTreeMap<u64, Actual>, id: u64, action: Action) {
    match action {
        Action::Attach(Desired { path, policy_name, policy, .. }) => {
            let policy = Some(policy);
            let actual =
                Actual { path, policy_name, policy, current: true, swept: None, guard: Guard::Absent };
            books.insert(id, actual);
        }
        Action::Detach(_) => {
            books.remove(&id);
        }
        other => {
            let Some(actual) = books.get_mut(&id) else { return };
            match other {
                Action::Write(want) => {
                    actual.policy = Some(want.policy);
                    actual.policy_name = want.policy_name;
                }
                Action::Replace(_) => actual.current = true,
                Action::Guard(_) => actual.guard = Guard::Holds,
                _ => actual.guard = Guard::Absent,
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn any_sequence_of_events_ends_in_what_is_desired(
        is_full in any::<bool>(),
        // What happens until a pass, which finds it all at once.
        moments in prop::collection::vec((prop::collection::vec(event(), 1..4), fault()), 1..40),
    ) {
        let mut model = Model {
            world: World::new(),
            kernel: Kernel::default(),
            books: BTreeMap::new(),
            is_sound: true,
            is_known: true,
            missed: BTreeSet::new(),
        };
        for at in (0..PATHS.len()).filter(|_| is_full) {
            model.world.make(at, None);
        }
        for (events, fault) in moments {
            let (cgroups, pods) = (model.world.cgroups.clone(), model.world.pods());
            events.iter().for_each(|event| model.happen(event));
            let part = model.part(&events, &cgroups, pods.as_ref());
            model.pass(fault, part.as_ref());
            if fault.is_none() {
                prop_assert_eq!(model.pass(None, None), 0, "what was just done is not done again");
                model.check_governed();
            }
        }
        model.world.set_away(false);
        model.pass(None, None);
        prop_assert_eq!(model.pass(None, None), 0, "what is right is left alone");
        model.check_governed();

        let Model { world, kernel, books, .. } = &model;
        let desired = plan(&world.policies, &world.cgroups, &world.pods().unwrap_or_default()).desired;
        prop_assert_eq!(&kernel.found(&world.cgroups), &in_force(&desired));
        prop_assert_eq!(books, &in_force(&desired));
    }
}
