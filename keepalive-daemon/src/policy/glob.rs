//! Globs that select cgroups by their path.

use globset::{Glob, GlobBuilder};

use super::diagnostic::{Fault, quote};

/// The longest path the kernel takes, `PATH_MAX`, in bytes.
const LONGEST: usize = 4096;
/// The matcher recurses into each alternation: this many cannot exhaust a stack.
const MOST_ALTERNATIONS: usize = 32;

/// A glob on the path of a cgroup below the cgroup2 root.
///
/// `*` and `?` stay within a path component, `**` spans components, `[ab]` is one of the characters, `{a,b}`
/// one of the alternatives, of which one may be nothing; everything else stands for itself, the backslashes of
/// systemd's unit names included. `?` is one byte, so that other characters than those of ASCII take several. A leading `/` may be written. `/` alone is the root: every process of the host; no other glob
/// matches it, not even `**`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupGlob {
    text: String,
    /// `None` is the root.
    compiled: Option<Glob>,
}

impl CgroupGlob {
    /// Reads a glob.
    ///
    /// # Errors
    ///
    /// When no path of a cgroup could ever match it, or it is not a glob.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text == "/" {
            return Ok(Self { text: text.to_owned(), compiled: None });
        }
        let path = text.strip_prefix('/').unwrap_or(text);
        check_path(text, path)?;
        check_classes(text, path)?;
        let compiled = GlobBuilder::new(path)
            .literal_separator(true)
            .backslash_escape(false)
            .empty_alternates(true)
            .build()
            .map_err(|e| {
                Fault::new(
                    format!("{} is not a glob: {}", quote(text), e.kind()),
                    "close every `[` and `{`; to mean such a character itself, write it as a class: `[[]`, `[{]`",
                )
            })?;
        Ok(Self { text: text.to_owned(), compiled: Some(compiled) })
    }

    /// What matches the cgroup of this path alone.
    pub(crate) fn literal(path: &str) -> String {
        path.chars().map(|c| if "*?[]{}".contains(c) { format!("[{c}]") } else { c.to_string() }).collect()
    }

    /// The glob as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches a path, for whoever asks once; [`PolicySet`](super::PolicySet) asks of all at a time.
    pub(crate) fn matches(&self, path: &str) -> bool {
        self.matcher()(path)
    }

    /// As [`Self::matches`], for whoever asks of many paths: it is compiled once.
    pub(crate) fn matcher(&self) -> impl Fn(&str) -> bool + use<> {
        let compiled = self.compiled.as_ref().map(Glob::compile_matcher);
        move |path| compiled.as_ref().map_or(path.is_empty(), |glob| !path.is_empty() && glob.is_match(path))
    }

    /// The matcher's form; `None` is the root.
    pub(super) fn compiled(&self) -> Option<&Glob> {
        self.compiled.as_ref()
    }
}

fn check_path(text: &str, path: &str) -> Result<(), Fault> {
    let shown = quote(text);
    if path.is_empty() {
        let help = "name a cgroup below the cgroup2 root, such as `system.slice/*`; `/` is the root itself";
        return Err(Fault::new(format!("{shown} is empty"), help));
    }
    if path.len() > LONGEST {
        let help = format!("a path has at most {LONGEST} bytes");
        return Err(Fault::new(format!("{shown} is {} bytes long", path.len()), help));
    }
    if path.matches('{').count() > MOST_ALTERNATIONS {
        let help = "list several globs instead";
        return Err(Fault::new(format!("{shown} has more than {MOST_ALTERNATIONS} `{{`"), help));
    }
    if path.contains(|c: char| c.is_control()) {
        let help = "write the path on one line, without tabs and line ends";
        return Err(Fault::new(format!("{shown} contains a control character"), help));
    }
    if let Some(mounted) = path.strip_prefix("sys/fs/cgroup/") {
        let below = mounted.strip_prefix("unified/").unwrap_or(mounted);
        let help = format!("globs start at the cgroup2 root: write {}", quote(below));
        return Err(Fault::new(format!("{shown} is a path of the file system"), help));
    }
    match path.split('/').find(|component| matches!(*component, "" | "." | "..")) {
        None => Ok(()),
        Some("") => Err(Fault::new(
            format!("{shown} has an empty path component"),
            format!("write {}", quote(&without_empty_components(path))),
        )),
        Some(component) => Err(Fault::new(
            format!("{shown} has the path component `{component}`"),
            "write the path as /proc/PID/cgroup shows it, from the cgroup2 root down",
        )),
    }
}

fn without_empty_components(path: &str) -> String {
    match path.split('/').filter(|component| !component.is_empty()).collect::<Vec<_>>().join("/") {
        path if path.is_empty() => "/".to_owned(),
        path => path,
    }
}

/// The matcher lets a class match `/`, so that `[!a]*` would reach into other cgroups than it seems to, and takes a
/// character that is not of ASCII for any of its bytes.
fn check_classes(text: &str, path: &str) -> Result<(), Fault> {
    let mut rest = path;
    while let Some(start) = rest.find('[') {
        let body = &rest[start + 1..];
        let negation = usize::from(body.starts_with(['!', '^']));
        // A `]` that comes first stands for itself.
        let first = negation + body[negation..].chars().next().map_or(0, char::len_utf8);
        let Some(end) = body[first..].find(']').map(|at| first + at) else {
            // Unclosed: for the compiler to report.
            return Ok(());
        };
        let class = &rest[start..=start + 1 + end];
        if !class.is_ascii() {
            return Err(Fault::new(
                format!("{} in {} has a character that is not of ASCII", quote(class), quote(text)),
                "write such characters as alternatives, such as `{ä,ö}`",
            ));
        }
        if GlobBuilder::new(class)
            .backslash_escape(false)
            .build()
            .is_ok_and(|g| g.compile_matcher().is_match("/"))
        {
            return Err(Fault::new(
                format!("{} in {} would match `/` too", quote(class), quote(text)),
                "name the characters that are meant, such as `[a-z0-9]`",
            ));
        }
        rest = &body[end + 1..];
    }
    Ok(())
}

#[cfg(test)]
mod tests;
