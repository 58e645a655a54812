//! The daemon that arms TCP keep-alive in the kernel for the cgroups that policies select, and the commands
//! around it.
//!
//! ```text
//! policy files ──────► policy_files ─► policy ─┐
//!                                              ├─► plan ─► reconcile ─► governor ─► kernel ─► POLICY storage of each cgroup
//! cgroup tree, CRI ──► workloads ──────────────┘                                      │            └─► sock_ops program
//!                                                    report ◄─ answers ◄─ api ◄───────┴─◄ COUNTERS storage
//! ```
//!
//! One direction, one loop ([`app`]). Whatever changes ends in the same reconcile: compute what should be,
//! look at what is, act on the difference. A restart is a first reconcile that finds pins. What is in force then, the
//! `sweeper`, on a thread of its own, also does to connections that are open already. What the connections have, the
//! `observer` reads from the kernel when somebody asks, and says why; what came of it, `helped` finds out. What they
//! should have `check` tells, on the command line's end: of what the observer saw, what `facts` says the node does to
//! silent connections, and a catalogue of middleboxes.
//!
//! Invariants:
//! - `policy`, `plan`, `reconcile` and `check` do no IO, except for `policy::directory`, which reads files;
//! - `kernel` alone talks to the kernel's eBPF side, and never uses `BPF_LINK_UPDATE`;
//! - the program returns 1, never writes `reply` and never touches the callback flags;
//! - a mistake anywhere in the policies leaves the last good ones in force.

mod allocator;
mod answers;
mod api;
pub mod app;
mod check;
pub mod cli;
mod commands;
pub mod cri;
mod facts;
pub mod features;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod governor;
mod helped;
mod journal;
mod kernel;
mod leisure;
mod logging;
mod metrics;
mod observer;
mod plan;
pub mod policy;
mod policy_files;
mod privileges;
mod readiness;
mod reconcile;
mod report;
mod sweeper;
mod this_kernel;
mod top;
mod workloads;
