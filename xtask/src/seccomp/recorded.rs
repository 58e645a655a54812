//! What strace wrote.

use std::collections::BTreeSet;

/// The calls of a program and all of its threads, as `strace --follow-forks --output` writes them, without those of other
/// programs that it started.
pub(super) fn calls(text: &str) -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    // Those that have become another program.
    let mut others = BTreeSet::new();
    let mut is_first = true;
    for line in text.lines() {
        let Some((process, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if others.contains(process) {
            continue;
        }
        let name = match rest.strip_prefix("<... ") {
            Some(resumed) => resumed.split(' ').next(),
            None => rest.split_once('(').map(|(name, _)| name),
        };
        let is_name = |name: &&str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let Some(name) = name.filter(is_name) else { continue };
        calls.insert(name.to_owned());
        if name == "execve" && rest.ends_with(" = 0") && !std::mem::take(&mut is_first) {
            others.insert(process);
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_calls_is_found_and_not_what_others_do_that_it_starts() {
        let text = "\
7 execve(\"/d\", [\"/d\", \"bugtool\"], 0x7ffe /* 9 vars */) = 0
7 futex(0x1, FUTEX_WAIT_PRIVATE, 1, NULL <unfinished ...>
8 getrandom(\"\\1\", 1, GRND_NONBLOCK) = 1
7 <... futex resumed>) = 0
9 execve(\"/bin/bpftool\", [\"bpftool\"], 0x7ffe) = -1 ENOENT (No such file or directory)
9 dup2(3, 1) = 1
9 execve(\"/usr/bin/bpftool\", [\"bpftool\"], 0x7ffe <unfinished ...>
9 <... execve resumed>) = 0
9 socketpair(AF_UNIX, SOCK_STREAM, 0, [3, 4]) = 0
7 +++ exited with 0 +++
7 ????( <unfinished ...>
";

        let calls = calls(text);

        assert_eq!(
            calls.iter().map(String::as_str).collect::<Vec<_>>(),
            ["dup2", "execve", "futex", "getrandom"]
        );
    }
}
