//! One CEL expression (<https://cel.dev>): checked and compiled at load, bounded, and unable to do harm.
//!
//! The library is `cel`; what it leaves open is closed here. Its parser recurses deeply, so it runs on a thread with a stack
//! of its own, on texts of a bounded length. Its `matches` compiles a pattern at every call: here patterns are literals,
//! compiled once. Names and functions that do not exist are faults of the document instead of denials later. A loop has no
//! loop inside, and what it runs over is bounded: no expression takes more than some milliseconds, whatever a token holds.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue};
use cel::common::types::{CelBool, CelString, STRING_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{Context, Env, ExecutionError, Value};

use super::view::{FIELDS, Variables, View};
use crate::exchange::Exchange;
use crate::json::Raw;
use crate::routing::ValueRegex;

/// Characters of an expression.
const LONGEST: usize = 2048;
/// Levels of its tree: each takes some stack when it runs.
const DEEPEST: usize = 40;
/// Levels of brackets, before the parser sees them.
const PARSER_DEPTH: u16 = 32;
const PARSER_STACK: usize = 64 << 20;
/// Values that one claim may hold: where the expression has a loop, and elsewhere.
const MOST_IN_LOOPS: usize = 1_000;
const MOST_VALUES: usize = 10_000;
/// Values that claims bring to one evaluation in all, however often a loop asks for them: some hundred microseconds.
const MOST_IN_ALL: usize = 20_000;

/// Functions of the standard library, by the number of arguments with the target.
const FUNCTIONS: [(&str, usize); 12] = [
    ("size", 1),
    ("contains", 2),
    ("startsWith", 2),
    ("endsWith", 2),
    ("matches", 2),
    ("int", 1),
    ("uint", 1),
    ("double", 1),
    ("string", 1),
    ("bool", 1),
    ("type", 1),
    ("dyn", 1),
];
const TYPES: [&str; 10] = ["bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "uint"];

/// What [`View`] says of claims and answers that an expression cannot look at.
pub(super) const TOO_LARGE: &str = "the values are too large";

/// Names of the variables that stand for compiled patterns begin so; no name in a text can.
pub(super) const PATTERN: &str = "@pattern";

#[derive(Debug)]
pub struct Expression {
    source: Box<str>,
    tree: IdedExpr,
    patterns: Vec<Pattern>,
    most_values: usize,
    about_identity: bool,
}

impl Expression {
    /// Compiles a text; an error is one line for whoever wrote it.
    pub fn compile(source: &str) -> Result<Self, String> {
        Self::compile_with(source, &[])
    }

    /// As [`Self::compile`], of a text that also names these answers.
    pub fn compile_with(source: &str, answers: &[&str]) -> Result<Self, String> {
        if source.chars().count() > LONGEST {
            return Err(format!("an expression has at most {LONGEST} characters"));
        }
        let source = source.to_owned();
        let answers = answers.iter().map(|name| (*name).to_owned()).collect();
        let parser = thread::Builder::new().name("cel".into()).stack_size(PARSER_STACK);
        let parsed =
            parser.spawn(move || parse(&source, answers)).map_err(|error| format!("no thread to read it: {error}"))?;
        parsed.join().unwrap_or_else(|_| Err("the expression cannot be read".into()))
    }

    /// Whether it asks who calls.
    pub fn is_about_identity(&self) -> bool {
        self.about_identity
    }

    /// Evaluates it. An error says in some words what is wrong, and nothing of what a token holds.
    pub fn holds(&self, exchange: &Exchange) -> Result<bool, String> {
        self.evaluate(exchange, &[], |value| match value.downcast_ref::<CelBool>() {
            Some(truth) => Ok(*truth.inner()),
            None => Err(format!("the value is of type {}, not bool", value.get_type().name())),
        })
    }

    /// Evaluates it with answers of calls, and takes the value.
    pub fn evaluate<T>(
        &self,
        exchange: &Exchange,
        answers: &[(&str, Raw<'_>)],
        take: impl FnOnce(&dyn Val) -> Result<T, String>,
    ) -> Result<T, String> {
        let left = AtomicUsize::new(MOST_IN_ALL);
        let view = View::of(exchange, self.most_values, &left);
        let variables = Variables { view, expression: self, answers };
        // The library says that it does not panic on values of its own; nothing of ours can be left half done by it.
        let run = AssertUnwindSafe(|| {
            let mut context = Context::with_env(ENV.clone());
            context.set_variable_resolver(&variables);
            match Value::resolve_val(&self.tree, &context) {
                Ok(value) => take(value.as_ref()),
                Err(_) if left.load(Ordering::Relaxed) == 0 => Err(TOO_LARGE.into()),
                Err(error) => Err(words(&error, &self.source)),
            }
        });
        catch_unwind(run).unwrap_or_else(|_| Err("the evaluation failed".into()))
    }

    pub(super) fn pattern(&self, number: usize) -> Option<&Pattern> {
        self.patterns.get(number)
    }
}

/// The functions that expressions can call.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib().with_optional_support(false);
    let pattern = PATTERN_TYPE.to_owned();
    env.add_member_overload("matches", "matches_pattern", STRING_TYPE, vec![pattern], matches)
        .expect("the library has no `matches` without its feature `regex`");
    Arc::new(env)
});

static PATTERN_TYPE: Type = Type::new_unspecified_type("pattern");

/// A pattern of a `matches`, as a value of the library.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Arc<ValueRegex>);

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        &PATTERN_TYPE
    }

    fn cel_type() -> &'static Type {
        &PATTERN_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}

fn matches<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    match arguments.as_slice() {
        [text, pattern] => match (text.downcast_ref::<CelString<'_>>(), pattern.downcast_ref::<Pattern>()) {
            (Some(text), Some(pattern)) => Ok(CowVal::owned(CelBool::from(pattern.0.is_match(text.as_bytes())))),
            _ => Err(ExecutionError::function_error("matches", "not a string")),
        },
        _ => Err(ExecutionError::invalid_argument_count(2, arguments.len())),
    }
}

fn parse(source: &str, answers: Vec<String>) -> Result<Expression, String> {
    let parsed = ENV.parser().max_recursion_depth(PARSER_DEPTH).parse(source);
    let mut tree = parsed.map_err(|errors| match errors.errors.first() {
        Some(error) => format!("{} at character {}", one_line(&error.msg), error.pos.1.max(0) + 1),
        None => "the expression cannot be read".into(),
    })?;
    let mut check = Check { answers, ..Check::default() };
    check.expression(&mut tree, 0)?;
    let most_values = if check.has_loop { MOST_IN_LOOPS } else { MOST_VALUES };
    Ok(Expression {
        source: source.into(),
        tree,
        patterns: check.patterns,
        most_values,
        about_identity: check.about_identity,
    })
}

/// One walk over the tree: bounds, names, patterns.
#[derive(Default)]
struct Check {
    patterns: Vec<Pattern>,
    /// Names of calls.
    answers: Vec<String>,
    /// Variables of the loops around.
    bound: Vec<String>,
    in_loop: bool,
    has_loop: bool,
    about_identity: bool,
}

impl Check {
    fn expression(&mut self, tree: &mut IdedExpr, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(format!("the expression is nested more than {DEEPEST} levels deep"));
        }
        match &mut tree.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => {
                if let Expr::Ident(root) = &select.operand.expr {
                    self.field(root, &select.field)?;
                }
                if let Expr::Ident(root) = &select.operand.expr
                    && is_variable(root)
                    && !self.bound.contains(root)
                {
                    self.note(&root.clone());
                    return Ok(());
                }
                self.expression(&mut select.operand, depth + 1)
            }
            Expr::Call(call) => self.call(call, depth),
            Expr::List(list) => list.elements.iter_mut().try_for_each(|entry| self.expression(entry, depth + 1)),
            Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.expression(&mut entry.key, depth + 1)?;
                    self.expression(&mut entry.value, depth + 1)
                }
                EntryExpr::StructField(_) => Err("messages cannot be made here".into()),
            }),
            Expr::Comprehension(_) => self.comprehension(tree, depth),
            Expr::Struct(_) | Expr::Unspecified => Err("messages cannot be made here".into()),
        }
    }

    fn comprehension(&mut self, tree: &mut IdedExpr, depth: usize) -> Result<(), String> {
        let Expr::Comprehension(it) = &mut tree.expr else { return Ok(()) };
        if self.in_loop {
            return Err("a loop (`all`, `exists`, `map`, `filter`) cannot stand inside of another".into());
        }
        self.expression(&mut it.iter_range, depth + 1)?;
        self.expression(&mut it.accu_init, depth + 1)?;
        (self.in_loop, self.has_loop) = (true, true);
        let names = [Some(it.iter_var.clone()), it.iter_var2.clone(), Some(it.accu_var.clone())];
        let before = self.bound.len();
        self.bound.extend(names.into_iter().flatten());
        for part in [&mut it.loop_cond, &mut it.loop_step, &mut it.result] {
            self.expression(part, depth + 1)?;
        }
        self.bound.truncate(before);
        self.in_loop = false;
        Ok(())
    }

    fn call(&mut self, call: &mut CallExpr, depth: usize) -> Result<(), String> {
        let name = call.func_name.as_str();
        let operator = !name.starts_with(|sign: char| sign.is_ascii_alphabetic());
        let given = call.args.len() + usize::from(call.target.is_some());
        match FUNCTIONS.iter().find(|(known, _)| *known == name) {
            _ if operator => {}
            None => {
                let known = FUNCTIONS.map(|(name, _)| name).join(", ");
                return Err(format!(
                    "there is no function `{name}`; known are {known}, has, all, exists, exists_one, map, filter"
                ));
            }
            Some((_, wanted)) if *wanted != given => {
                return Err(format!("`{name}` takes {wanted} values with the one it is called on, not {given}"));
            }
            Some(_) => {}
        }
        if name == "matches" {
            self.pattern(call)?;
        }
        if let Some(target) = &mut call.target {
            self.expression(target, depth + 1)?;
        }
        let checked = usize::from(call.func_name == "matches");
        let rest = call.args.len() - checked;
        call.args[..rest].iter_mut().try_for_each(|argument| self.expression(argument, depth + 1))
    }

    /// Puts a compiled pattern in the place of its text; `matches(a, b)` becomes `a.matches(b)`.
    fn pattern(&mut self, call: &mut CallExpr) -> Result<(), String> {
        if call.target.is_none() {
            call.target = Some(Box::new(call.args.remove(0)));
        }
        let literal = "the pattern of `matches` is a text in quotes, so that no request can bring one";
        let argument = call.args.last_mut().ok_or(literal)?;
        let Expr::Literal(LiteralValue::String(text)) = &argument.expr else { return Err(literal.into()) };
        // In CEL a pattern matches anywhere in the text, unless it is anchored.
        let regex =
            ValueRegex::compile_search(text.inner()).map_err(|error| format!("the pattern of `matches`: {error}"))?;
        argument.expr = Expr::Ident(format!("{PATTERN}{}", self.patterns.len()));
        self.patterns.push(Pattern(Arc::new(regex)));
        Ok(())
    }

    /// A name that stands for itself: all that a variable holds can only be asked for by name, but for claims.
    fn name(&mut self, name: &str) -> Result<(), String> {
        let given = self.bound.iter().chain(&self.answers).any(|given| given == name);
        if given || TYPES.contains(&name) {
            return Ok(());
        }
        match FIELDS.iter().find(|(known, _)| *known == name) {
            Some((_, [])) => {
                self.note(name);
                Ok(())
            }
            Some((_, fields)) => Err(format!("`{name}` is used by its fields: {}", listed(name, fields))),
            None => Err(format!("there is no `{name}`; known are {}", FIELDS.map(|(name, _)| name).join(", "))),
        }
    }

    fn field(&self, root: &str, field: &str) -> Result<(), String> {
        if self.bound.iter().any(|bound| bound == root) {
            return Ok(());
        }
        match FIELDS.iter().find(|(known, _)| *known == root) {
            Some((_, fields)) if !fields.is_empty() && !fields.contains(&field) => {
                Err(format!("there is no `{root}.{field}`; known are {}", listed(root, fields)))
            }
            _ => Ok(()),
        }
    }

    fn note(&mut self, root: &str) {
        self.about_identity |= matches!(root, "claims" | "consumer" | "identity");
    }
}

fn is_variable(name: &str) -> bool {
    FIELDS.iter().any(|(known, _)| *known == name)
}

fn listed(root: &str, fields: &[&str]) -> String {
    fields.iter().map(|field| format!("{root}.{field}")).collect::<Vec<_>>().join(", ")
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// An error without the values it came about: they are a caller's. A key may be one, too, as in `{'a': 1}[claims.sub]`.
fn words(error: &ExecutionError, source: &str) -> String {
    match error {
        ExecutionError::NoSuchKey(name) if has_word(source, name) => format!("there is no `{name}`"),
        ExecutionError::NoSuchKey(_) => "there is no such key".into(),
        ExecutionError::UndeclaredReference(name) => format!("there is no `{name}`"),
        ExecutionError::NoSuchOverload(error) => error.to_string(),
        ExecutionError::UnexpectedType { got, want } => format!("expected {want}, got {got}"),
        ExecutionError::IndexOutOfBounds(_) => "an index is beyond the end of its list".into(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "a division by zero".into(),
        ExecutionError::Overflow(..) => "a number is too large".into(),
        ExecutionError::FunctionError { function, .. } => format!("`{function}` cannot take this value"),
        ExecutionError::InternalError(message) if message == TOO_LARGE => TOO_LARGE.into(),
        _ => "the values cannot be used like this".into(),
    }
}

/// Whether the document's author has written this word.
fn has_word(source: &str, word: &str) -> bool {
    let is_part = |sign: char| sign.is_alphanumeric() || matches!(sign, '_' | '-');
    !word.is_empty()
        && source.match_indices(word).any(|(at, _)| {
            !source[..at].chars().next_back().is_some_and(is_part)
                && !source[at + word.len()..].chars().next().is_some_and(is_part)
        })
}
