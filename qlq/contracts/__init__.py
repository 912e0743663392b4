"""The contract language, its two back-ends and the engine that runs one call within its gas."""
