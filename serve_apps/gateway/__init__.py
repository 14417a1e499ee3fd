"""The v3 door: HTTP to tasks and back. Translates; decides nothing."""
