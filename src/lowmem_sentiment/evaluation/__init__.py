"""Use and judge trained runs."""
