"""Results: tables of runs, leaderboards, comparisons and exports."""
