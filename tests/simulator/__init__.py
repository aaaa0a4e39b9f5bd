"""The engine's rules walked one person at a time in plain Python, written from docs/engine.md and nothing else."""
