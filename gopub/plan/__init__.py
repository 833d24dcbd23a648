"""Hosts and a spec become steps: how many hosts at a time, what each step says, why a plan is refused."""
