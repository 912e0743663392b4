"""Who proposes, who votes, and what makes a block final."""
