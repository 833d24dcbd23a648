"""What releases, rollouts, hosts and verdicts look like to people and programs; folds the journal for reading."""
