"""The commands, one module a group that shares what it needs."""
