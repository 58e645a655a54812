//! Globs that select namespaces by their name.

use globset::{Glob, GlobBuilder, GlobSet};

use super::diagnostic::{Fault, printable, quote};

/// The longest glob, in bytes: a name has 63, the rest is for classes and alternatives.
const LONGEST: usize = 256;
/// The matcher recurses into each alternation: this many cannot exhaust a stack.
const MOST_ALTERNATIONS: usize = 16;

/// A glob on the name of a namespace.
///
/// `*` is any characters, `?` one of them, `[ab]` one of those, `{a,b}` one of the alternatives; everything
/// else stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceGlob {
    text: String,
    compiled: Glob,
}

impl NamespaceGlob {
    /// Reads a glob.
    ///
    /// # Errors
    ///
    /// When no name of a namespace could ever match it, or it is not a glob.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        check(text)?;
        let compiled =
            GlobBuilder::new(text).backslash_escape(false).empty_alternates(true).build().map_err(|e| {
                let message = format!("{} is not a glob: {}", quote(text), e.kind());
                Fault::new(message, "close every `[` and `{`, and write ranges upwards, such as `[a-z]`")
            })?;
        Ok(Self { text: text.to_owned(), compiled })
    }

    /// The glob as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Globs that are matched together.
#[derive(Clone, Debug, Default)]
pub struct NamespaceGlobs {
    globs: Vec<NamespaceGlob>,
    matcher: GlobSet,
}

impl NamespaceGlobs {
    /// Puts globs together.
    ///
    /// # Errors
    ///
    /// When they are too many, or too complex, for one matcher.
    pub fn new(globs: Vec<NamespaceGlob>) -> Result<Self, Fault> {
        let matcher = GlobSet::new(globs.iter().map(|glob| &glob.compiled)).map_err(|e| {
            let message = format!("these globs are too many together: {}", printable(&e.to_string()));
            Fault::new(message, "use fewer, or simpler, globs")
        })?;
        Ok(Self { globs, matcher })
    }

    /// Whether one of the globs matches.
    #[must_use]
    pub fn matches(&self, namespace: &str) -> bool {
        !self.globs.is_empty() && self.matcher.is_match(namespace)
    }

    /// The globs, in the order they were written.
    pub fn iter(&self) -> impl Iterator<Item = &NamespaceGlob> {
        self.globs.iter()
    }

    /// How many globs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.globs.len()
    }

    /// Whether there is no glob.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.globs.is_empty()
    }
}

impl PartialEq for NamespaceGlobs {
    fn eq(&self, other: &Self) -> bool {
        self.globs == other.globs
    }
}

fn check(text: &str) -> Result<(), Fault> {
    const HELP: &str = "the name of a namespace is of lower-case letters, digits and `-`, and has a letter or digit \
                        at either end; `*`, `?`, `[a-z]` and `{a,b}` stand for several";
    let shown = quote(text);
    if text.is_empty() {
        return Err(Fault::new(format!("{shown} is empty"), "write a name, a glob such as `team-*`, or `*`"));
    }
    if text.len() > LONGEST {
        return Err(Fault::new(
            format!("{shown} is {} bytes long", text.len()),
            format!("a glob on namespaces has at most {LONGEST}; list several"),
        ));
    }
    if text.matches('{').count() > MOST_ALTERNATIONS {
        let help = "list several globs instead";
        return Err(Fault::new(format!("{shown} has more than {MOST_ALTERNATIONS} `{{`"), help));
    }
    let never = || Fault::new(format!("{shown} matches no namespace"), HELP);
    if text.starts_with('-') || text.ends_with('-') || !has_only_characters_of_names(text) {
        return Err(never());
    }
    Ok(())
}

/// Whether what stands for itself in a glob could do so in a name. Brackets that do not match are for the
/// compiler to report.
fn has_only_characters_of_names(text: &str) -> bool {
    let mut alternations = 0_u32;
    let mut class = false;
    text.chars().all(|c| {
        match c {
            '[' => class = true,
            ']' => class = false,
            '{' if !class => alternations += 1,
            '}' if !class => alternations = alternations.saturating_sub(1),
            _ => {}
        }
        match c {
            'a'..='z' | '0'..='9' | '-' | '*' | '?' | '[' | ']' | '{' | '}' => true,
            ',' => alternations > 0 && !class,
            '!' | '^' => class,
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests;
