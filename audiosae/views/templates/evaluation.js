// The evaluation page has no script of its own.
