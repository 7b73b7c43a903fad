"""What decides: a run's threshold, temperature and limits for abstaining, and tests between runs."""
