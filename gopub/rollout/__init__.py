"""The journey of one release into one env: plan, machine, decision, journal, seat, driver."""
