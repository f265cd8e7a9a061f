"""The embedded engine: workers are child processes of the client, and end with it."""
