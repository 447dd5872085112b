//! Faults of a plan that only compiling can find.

/// What is wrong, where, and a stable code for it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The place in the plan: `routes[3].paths[0]`.
    pub path: String,
    pub code: &'static str,
    pub message: String,
}

impl Problem {
    pub fn new(path: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { path: path.into(), code, message: message.into() }
    }

    /// The same problem of something that is a part of another: `prefix` goes before its path.
    pub fn under(self, prefix: &str) -> Self {
        Self { path: format!("{prefix}{}", self.path), ..self }
    }
}

impl From<Problem> for Vec<Problem> {
    fn from(problem: Problem) -> Self {
        vec![problem]
    }
}

/// All that was made, or every problem there is: whoever mends a document wants to know them at once.
pub fn all<T, All: FromIterator<T>, Found: Into<Vec<Problem>>>(
    made: impl IntoIterator<Item = Result<T, Found>>,
) -> Result<All, Vec<Problem>> {
    let mut problems: Vec<Problem> = Vec::new();
    let good = made.into_iter().filter_map(|made| made.map_err(|found| problems.extend(found.into())).ok()).collect();
    if problems.is_empty() { Ok(good) } else { Err(problems) }
}
