//! What could not be reached.

use super::*;

#[test]
fn what_nobody_has_accepted_is_asked_for_again_at_each_resync() {
    let mut node = Node::new(&[("a", 1)]);
    let attached = node.attach(1, policy(1, 60));
    let job = one(node.follow(vec![attached], CAUSE));
    node.finish_but(&job, &[Outcome::Arm], Reached::AllAccepted);
    assert!(node.attached[&1].swept.is_none() && node.books.is_partial(1, &policy(1, 60)));
    assert_eq!(node.follow(vec![], Cause::Cgroups), []);

    let job = one(node.follow(vec![], Cause::Resync));
    assert_eq!(node.follow(vec![], Cause::Pods), [], "it goes on");
    node.finish(&job, &[Outcome::Arm]);

    assert_eq!(node.attached[&1].swept, Some(policy(1, 60)));
    assert!(!node.books.is_partial(1, &policy(1, 60)));
    assert_eq!(node.follow(vec![], Cause::Resync), []);
}

#[test]
fn what_nobody_ever_accepts_is_asked_for_again_ten_times() {
    let mut node = Node::new(&[("a", 1)]);
    let attached = node.attach(1, policy(1, 60));
    let job = one(node.follow(vec![attached], CAUSE));
    node.finish_but(&job, &[], Reached::AllAccepted);

    for _ in 0..10 {
        assert_eq!(node.attached[&1].swept, None);
        let job = one(node.follow(vec![], Cause::Resync));
        node.finish_but(&job, &[], Reached::AllAccepted);
    }

    assert_eq!(node.attached[&1].swept, Some(policy(1, 60)));
    assert_eq!(node.follow(vec![], Cause::Resync), []);
}

#[test]
fn another_policy_does_not_wait_for_what_nobody_has_accepted() {
    let mut node = Node::new(&[("a", 1)]);
    let attached = node.attach(1, policy(1, 60));
    let job = one(node.follow(vec![attached], CAUSE));
    node.finish_but(&job, &[], Reached::AllAccepted);

    let written = node.write(1, policy(1, 30));

    assert_eq!(one(node.follow(vec![written], Cause::Pods)).policy, policy(1, 30));
}

#[test]
fn namespaces_out_of_reach_are_tried_ten_times_and_never_taken_for_swept() {
    let mut node = Node::new(&[("a", 1)]);
    let attached = node.attach(1, policy(1, 60));
    let job = one(node.follow(vec![attached], CAUSE));
    node.finish_but(&job, &[Outcome::Arm], Reached::SomeNamespaces);

    for _ in 0..10 {
        let job = one(node.follow(vec![], Cause::Resync));
        node.finish_but(&job, &[], Reached::SomeNamespaces);
    }

    assert_eq!(node.follow(vec![], Cause::Resync), []);
    // So whoever comes later tries again.
    assert!(node.attached[&1].swept.is_none() && node.books.is_partial(1, &policy(1, 60)));
    node.books = Books::default();
    assert_eq!(one(node.follow(vec![], Cause::Start)).policy, policy(1, 60));
}

#[test]
fn a_namespace_that_comes_into_reach_is_swept() {
    let mut node = Node::new(&[("a", 1)]);
    let attached = node.attach(1, policy(1, 60));
    let job = one(node.follow(vec![attached], CAUSE));
    node.finish_but(&job, &[], Reached::SomeNamespaces);

    let job = one(node.follow(vec![], Cause::Resync));
    node.finish(&job, &[Outcome::Arm]);

    assert_eq!(node.attached[&1].swept, Some(policy(1, 60)));
}
