"""What happened, kept: events, the state they make, the seat, the kit, and what was kept while the journal was down."""
