"""Sample data: a small SaaS company whose year the demo plays."""
