//! The language, once: parse, check, model, interpret, generate.
