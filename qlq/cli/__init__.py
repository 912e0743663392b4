"""The command line: no logic, lazy imports."""
