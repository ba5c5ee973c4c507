"""What is done to a whole store: another master key, a backup, a way back."""
