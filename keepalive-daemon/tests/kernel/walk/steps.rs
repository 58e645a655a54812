//! Commands in a document, and what it shows of their output.

/// A command, and the lines that it prints.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) command: String,
    pub(super) shown: Vec<String>,
}

/// The steps in the `console` blocks below a heading. A command begins with `# ` and goes on in the lines that are
/// set off by four blanks, as long as nothing was printed.
pub(super) fn steps(document: &str, heading: &str) -> Vec<Step> {
    let part = document.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}")).1;
    let part = part.split("\n## ").next().unwrap();
    let blocks = part.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("console\n"));
    let mut steps: Vec<Step> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        if let Some(command) = line.strip_prefix("# ") {
            steps.push(Step { command: command.to_owned(), shown: Vec::new() });
            continue;
        }
        let step = steps.last_mut().unwrap_or_else(|| panic!("nothing prints {line:?}"));
        // Only a command that is not whole goes on.
        let is_open = step.command.matches('\'').count() % 2 == 1;
        if is_open {
            step.command.push_str(&format!("\n{line}"));
        } else {
            step.shown.push(line.to_owned());
        }
    }
    steps
}
