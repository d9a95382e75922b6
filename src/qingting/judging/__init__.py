"""Human judging: campaigns, assignment, blinding, exclusion, snapshots and their analysis."""
