"""Write results as self-contained HTML pages: no script, nothing loaded from elsewhere."""
