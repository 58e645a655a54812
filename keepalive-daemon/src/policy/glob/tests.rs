#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::CgroupGlob;

fn matches(glob: &str, path: &str) -> bool {
    CgroupGlob::parse(glob).unwrap().compiled().unwrap().compile_matcher().is_match(path)
}

#[test]
fn a_glob_matches_paths_below_the_root() {
    for (glob, path, expected) in [
        ("system.slice/nginx.service", "system.slice/nginx.service", true),
        ("/system.slice/nginx.service", "system.slice/nginx.service", true),
        ("system.slice", "system.slice/nginx.service", false),
        ("docker/*", "docker/0123", true),
        ("docker/*", "docker/0123/init", false),
        ("docker/*", "docker", false),
        ("docker/**", "docker/0123/init", true),
        ("docker/**", "docker", false),
        ("**/init", "docker/0123/init", true),
        ("**/init", "init", true),
        ("a/**/b", "a/b", true),
        ("*.slice", "system.slice", true),
        ("*.slice", "a/system.slice", false),
        ("machine.slice/*.scope", "machine.slice/.scope", true),
        ("a?c", "abc", true),
        ("a?c", "a/c", false),
        ("job[0-9]", "job7", true),
        ("job[0-9]", "jobx", false),
        ("job[]x]", "job]", true),
        ("{a,b/c}/*", "b/c/d", true),
        ("{a,b/c}/*", "b/d", false),
        ("a[[]b", "a[b", true),
        ("a{,.scope}", "a", true),
        ("a{,.scope}", "a.scope", true),
        ("{ä,ö}?", "ä1", true),
        ("A", "a", false),
    ] {
        assert_eq!(matches(glob, path), expected, "{glob} {path}");
    }
}

#[test]
fn backslashes_of_systemd_units_stand_for_themselves() {
    let unit = r"system.slice/dev-disk-by\x2dlabel-a.swap";

    assert!(matches(unit, unit));
    assert!(matches(r"system.slice/*\x2d*", unit));
    assert!(!matches(r"a\*", "a*"), "the star is a star");
    assert!(matches(r"a\*", r"a\b"));
}

#[test]
fn a_slash_alone_is_the_root() {
    assert!(CgroupGlob::parse("/").unwrap().compiled().is_none());
    assert_eq!(CgroupGlob::parse("/").unwrap().as_str(), "/");
}

#[test]
fn what_could_match_no_cgroup_is_refused_with_a_cure() {
    let long = "a".repeat(4097);
    let braces = "{a,".repeat(33);
    for (glob, message, help) in [
        (
            "",
            "`` is empty",
            "name a cgroup below the cgroup2 root, such as `system.slice/*`; `/` is the root itself",
        ),
        ("//", "`//` has an empty path component", "write `/`"),
        ("a//b", "`a//b` has an empty path component", "write `a/b`"),
        ("docker/", "`docker/` has an empty path component", "write `docker`"),
        (
            ".",
            "`.` has the path component `.`",
            "write the path as /proc/PID/cgroup shows it, from the cgroup2 root down",
        ),
        (
            "/a/../b",
            "`/a/../b` has the path component `..`",
            "write the path as /proc/PID/cgroup shows it, from the cgroup2 root down",
        ),
        (
            "a\0",
            r"`a\0` contains a control character",
            "write the path on one line, without tabs and line ends",
        ),
        (
            "a\n",
            r"`a\n` contains a control character",
            "write the path on one line, without tabs and line ends",
        ),
        (
            "/sys/fs/cgroup/docker/*",
            "`/sys/fs/cgroup/docker/*` is a path of the file system",
            "globs start at the cgroup2 root: write `docker/*`",
        ),
        (
            "/sys/fs/cgroup/unified/a",
            "`/sys/fs/cgroup/unified/a` is a path of the file system",
            "globs start at the cgroup2 root: write `a`",
        ),
        (
            "[!a]*",
            "`[!a]` in `[!a]*` would match `/` too",
            "name the characters that are meant, such as `[a-z0-9]`",
        ),
        (
            "x[^a]",
            "`[^a]` in `x[^a]` would match `/` too",
            "name the characters that are meant, such as `[a-z0-9]`",
        ),
        (
            "[b][+-9]",
            "`[+-9]` in `[b][+-9]` would match `/` too",
            "name the characters that are meant, such as `[a-z0-9]`",
        ),
        (
            "a/[äö]b",
            "`[äö]` in `a/[äö]b` has a character that is not of ASCII",
            "write such characters as alternatives, such as `{ä,ö}`",
        ),
        (&long, &format!("`{}…` is 4097 bytes long", "a".repeat(60)), "a path has at most 4096 bytes"),
        (&braces, &format!("`{}…` has more than 32 `{{`", "{a,".repeat(20)), "list several globs instead"),
    ] {
        let fault = CgroupGlob::parse(glob).unwrap_err();
        assert_eq!((fault.message.as_str(), fault.help.as_str()), (message, help), "{glob}");
    }
}

#[test]
fn what_is_not_a_glob_is_refused_with_a_cure() {
    for glob in ["a[b", "a{b", "a}", "[z-a]", "[]", "[!]", "[", "[!"] {
        let fault = CgroupGlob::parse(glob).unwrap_err();
        assert!(fault.message.starts_with(&format!("`{glob}` is not a glob: ")), "{fault}");
        assert!(fault.help.starts_with("close every `[` and `{`"), "{fault}");
    }
}

#[test]
fn the_literal_of_a_path_matches_it_and_nothing_else() {
    for path in
        ["system.slice/nginx.service", "a[b]*?{c,d}/e", r"system.slice/dev\x2dhugepages.mount", "a]b}c"]
    {
        let glob = CgroupGlob::parse(&CgroupGlob::literal(path)).unwrap();

        assert!(glob.matches(path), "{path}");
        assert!(!glob.matches(&format!("{path}x")) && !glob.matches("abc/e"), "{path}");
    }
    assert!(CgroupGlob::parse(&CgroupGlob::literal("/")).unwrap().matches(""));
}
