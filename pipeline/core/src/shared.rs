//! A value with one owner, until it is shared: no atomic operation and no copy while nobody else looks at it.

use std::ops::Deref;
use std::sync::Arc;

/// A value that is changed in place while it has one owner, and copied by the next change after it was shared.
///
/// ```
/// use logbraid_core::Shared;
/// let mut rows = Shared::from(vec![1]);
/// rows.to_mut().push(2);
/// let seen = rows.share();
/// rows.to_mut().push(3);
/// assert_eq!((rows.as_slice(), seen.as_slice()), (&[1, 2, 3][..], &[1, 2][..]));
/// ```
#[derive(Debug, Clone)]
pub struct Shared<T>(State<T>);

#[derive(Debug, Clone)]
enum State<T> {
    Own(T),
    Shared(Arc<T>),
}

impl<T: Clone + Default> Shared<T> {
    /// The value, to be changed. What was shared is copied first, unless everybody else has let go of it.
    #[inline]
    pub fn to_mut(&mut self) -> &mut T {
        if let State::Shared(shared) = &mut self.0 {
            let own = Arc::try_unwrap(std::mem::take(shared)).unwrap_or_else(|shared| T::clone(&shared));
            self.0 = State::Own(own);
        }
        match &mut self.0 {
            State::Own(own) => own,
            // Made its own above.
            State::Shared(shared) => Arc::make_mut(shared),
        }
    }

    /// The same value once more, without a copy.
    pub fn share(&mut self) -> Self {
        let shared = match std::mem::replace(&mut self.0, State::Own(T::default())) {
            State::Own(own) => Arc::new(own),
            State::Shared(shared) => shared,
        };
        self.0 = State::Shared(Arc::clone(&shared));
        Self(State::Shared(shared))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        match &self.0 {
            State::Own(own) => own,
            State::Shared(shared) => shared,
        }
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(State::Own(value))
    }
}

impl<T: Default> Default for Shared<T> {
    fn default() -> Self {
        Self::from(T::default())
    }
}
