//! Paths that take no parameters.

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};

use super::Refusal;

/// That nothing is asked for but what the path says: a parameter that means nothing here is a mistake of whoever asks.
pub(super) struct Nothing;

impl<S: Sync> FromRequestParts<S> for Nothing {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        match parts.uri.query() {
            None | Some("") => Ok(Self),
            Some(_) => Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                format!("{} takes no parameters", parts.uri.path()),
            )),
        }
    }
}
