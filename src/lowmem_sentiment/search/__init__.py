"""The search for settings by training: random and halving, or a grid."""
