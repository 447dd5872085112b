//! The Python boundary of Tidegate.
