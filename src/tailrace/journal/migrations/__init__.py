"""The journal's schema, one numbered step a file; a step that was applied is never edited."""
