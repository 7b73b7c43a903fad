"""Search settings by training: at random within a budget, or a grid."""
