"""Choose a run's threshold, temperature and limits for abstaining, and test runs against each other."""
